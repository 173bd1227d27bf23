/**
 * What every stage of the pipeline has: the clients, the journal, the plan, and the books of what each method cost and what
 * went wrong. Books are made from stored outcomes, so that a resumed run keeps the same ones.
 */
import type { TunedSettings } from "../../shared/adapters/settings.js";
import { throwIfAborted } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { Progress } from "../../shared/base/progress.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import type { AdapterSpec } from "../../shared/wire/types.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { ClientInfo, ClientPool } from "../roster/pool.js";
import type { AdapterShapes } from "../rounds/check.js";
import type { Journal } from "./journal.js";

export type { MethodName };

export type PipelinePlan = RunPlan;

export interface Cost {
  flops: number;
  bytesUp: number;
  bytesDown: number;
  wallSeconds: number;
}

export interface FaultNote {
  readonly client: string;
  readonly stage: string;
  readonly message: string;
}

export const faultText = ({ client, stage, message }: FaultNote): string => `${stage}: client ${client}: ${message}`;

export interface ContextOptions {
  readonly pool: ClientPool;
  readonly journal: Journal;
  readonly plan: PipelinePlan;
  /** In the order in which reports name them. */
  readonly clients: readonly ClientInfo[];
  /** Runs the coordinator's own matrix products. */
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** A task fails when its progress has not grown for so long; 0: never. */
  readonly deadlineMs?: number;
}

export class PipelineContext {
  readonly pool: ClientPool;
  readonly journal: Journal;
  readonly plan: PipelinePlan;
  readonly clients: readonly ClientInfo[];
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  readonly faults: FaultNote[] = [];
  readonly costs: Record<MethodName, Cost>;
  /** Names and shapes of a whole adapter of a kind, once a training of several clients has shown them. */
  readonly adapterShapes = new Map<TunedSettings["kind"], AdapterShapes>();
  private readonly deadlineMs: number | undefined;
  /** What a method has paid: a training that calibrates its estimate may make a group's adapter too. */
  private readonly booked = new Set<string>();

  constructor(options: ContextOptions) {
    this.pool = options.pool;
    this.journal = options.journal;
    this.plan = options.plan;
    this.clients = options.clients;
    this.runtime = options.runtime;
    this.log = options.log;
    this.progress = options.progress;
    this.signal = options.signal;
    this.deadlineMs = options.deadlineMs;
    const zero = (): Cost => ({ flops: 0, bytesUp: 0, bytesDown: 0, wallSeconds: 0 });
    this.costs = { base: zero(), shared: zero(), local: zero(), full: zero(), kindred: zero() };
  }

  /** The adapter of a run; boosting steps differ from it by their initial values. */
  adapterSpec(seedOffset = 0): AdapterSpec {
    return { ...this.plan.adapter, initSeed: this.plan.seed + seedOffset };
  }

  info(client: string): ClientInfo {
    return this.clients.find(({ name }) => name === client) as ClientInfo;
  }

  /**
   * Has clients do a task each, and books its cost on the methods, once on each. A client that fails is noted and left out.
   * @param key names the work; the same key with the same task gives the stored outcome
   */
  async ask<T extends TaskSpec>(
    stage: string,
    methods: readonly MethodName[],
    key: string,
    clients: readonly string[],
    taskOf: (client: string) => T,
    onDone?: (client: string) => void,
  ): Promise<Map<string, ResultFor<T>>> {
    throwIfAborted(this.signal);
    const outcomes = await Promise.all(
      clients.map(async (client) => {
        const outcome = await this.pool.run(key, client, taskOf(client), {
          ...(this.signal ? { signal: this.signal } : {}),
          ...(this.deadlineMs === undefined ? {} : { deadlineMs: this.deadlineMs }),
        });
        onDone?.(client);
        return { client, outcome };
      }),
    );
    const results = new Map<string, ResultFor<T>>();
    for (const { client, outcome } of outcomes) {
      for (const method of methods) {
        const entry = JSON.stringify([method, key, client]);
        if (this.booked.has(entry)) continue;
        this.booked.add(entry);
        const cost = this.costs[method];
        cost.bytesUp += outcome.bytesUp;
        cost.bytesDown += outcome.bytesDown;
        if (outcome.ok) cost.flops += outcome.result.cost.flops;
      }
      if (outcome.ok) results.set(client, outcome.result);
      else this.fault(client, stage, outcome.message);
    }
    return results;
  }

  /** Notes what went wrong with a client, once. */
  fault(client: string, stage: string, message: string): void {
    const known = this.faults.some(
      (fault) => fault.client === client && fault.stage === stage && fault.message === message,
    );
    if (known) return;
    this.faults.push({ client, stage, message });
    this.log.warn("a client is left out", { client, stage, reason: message });
  }

  /** Works with clients side by side. What goes wrong is noted in the clients' order, not in the order in which they finish. */
  async sideBySide(clients: readonly string[], work: (client: string, at: number) => Promise<void>): Promise<void> {
    const before = this.faults.length;
    await Promise.all(clients.map(work));
    const added = this.faults.splice(before);
    this.faults.push(...added.sort((a, b) => clients.indexOf(a.client) - clients.indexOf(b.client)));
  }

  /** Runs work and books its time on the methods. */
  async timed<T>(methods: readonly MethodName[], work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      for (const method of methods) this.costs[method].wallSeconds += (performance.now() - start) / 1000;
    }
  }
}
