/**
 * What each method of a run has cost, and in which stage. The books are made from stored outcomes, so a resumed run has the same
 * books as an uninterrupted one, except for wall time, which is this process's own.
 */
import { METHODS, type MethodName } from "../../shared/config/enumerations.js";

/** The cost of one stage of a method. */
export interface StageCost {
  /** Floating-point operations, counted from the graphs; a multiply-add is 2. Sketching and sweeps are included. */
  flops: number;
  /** Bytes on the wire from clients to the coordinator. */
  bytesUp: number;
  /** Bytes on the wire from the coordinator to clients. */
  bytesDown: number;
  wallSeconds: number;
}

/** The cost of a method: the sum over its stages ("sweep", "sketch", "estimate", "train", ...). */
export interface MethodCost extends StageCost {
  readonly stages: Record<string, StageCost>;
}

export type MethodCosts = Readonly<Record<MethodName, MethodCost>>;

/** What one client's part of a task has cost. */
export interface Charge {
  /** The task's key. A method pays once for the same key and client. */
  readonly key: string;
  readonly client: string;
  readonly flops: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

const zero = (): StageCost => ({ flops: 0, bytesUp: 0, bytesDown: 0, wallSeconds: 0 });

/** One sum of the books. */
interface Entry extends StageCost {
  readonly method: MethodName;
  readonly stage: string;
}

export class Books {
  /** By what was paid. A training that serves two methods, or one method twice, is paid once by each. */
  private readonly entries = new Map<string, Entry>();

  /**
   * All costs so far. Charges are summed in the order of their keys and clients: above 2^53 operations the order of arrival would
   * show in the last digit.
   */
  get costs(): MethodCosts {
    const costs = Object.fromEntries(
      METHODS.map((name): [MethodName, MethodCost] => [name, { ...zero(), stages: {} }]),
    ) as MethodCosts;
    for (const [, { method, stage, ...part }] of [...this.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const cost = costs[method];
      cost.stages[stage] ??= zero();
      for (const sum of [cost, cost.stages[stage]])
        for (const field of Object.keys(part) as (keyof StageCost)[]) sum[field] += part[field];
    }
    return costs;
  }

  charge(methods: readonly MethodName[], stage: string, charges: readonly Charge[]): void {
    for (const { key, client, ...cost } of charges)
      for (const method of methods) {
        const entry = JSON.stringify([method, key, client]);
        if (!this.entries.has(entry)) this.entries.set(entry, { ...zero(), ...cost, method, stage });
      }
  }

  /** Books operations of the coordinator's own. */
  compute(method: MethodName, stage: string, flops: number): void {
    this.add(method, stage, { flops });
  }

  /** Runs work and books its wall time. */
  async time<T>(methods: readonly MethodName[], stage: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      const wallSeconds = (performance.now() - start) / 1000;
      for (const method of methods) this.add(method, stage, { wallSeconds });
    }
  }

  private add(method: MethodName, stage: string, { flops = 0, wallSeconds = 0 }: Partial<StageCost>): void {
    const entry = JSON.stringify([method, stage]);
    const before = this.entries.get(entry) ?? { ...zero(), method, stage };
    const sum = { flops: before.flops + flops, wallSeconds: before.wallSeconds + wallSeconds };
    this.entries.set(entry, { ...before, ...sum });
  }
}
