/**
 * The clients of one run. The cohort has them do tasks and gives their answers; it books nothing and decides nothing. A client that
 * fails is a fault in the event stream, and missing in the answers.
 */
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import type { BlobRef, RowCounts } from "../../shared/wire/types.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { EventSink } from "../events/events.js";
import type { ClientInfo, ClientPool } from "../roster/pool.js";
import type { Charge } from "./books.js";
import { JointShare } from "./joint-share.js";
import type { Retention } from "./retention.js";

export interface FaultNote {
  readonly client: string;
  readonly stage: string;
  readonly message: string;
}

export const faultText = ({ client, stage, message }: FaultNote): string => `${stage}: client ${client}: ${message}`;

/** Work for some clients. */
export interface Request<T extends TaskSpec> {
  /** Where a fault happened, in words. */
  readonly stage: string;
  /** Names the work. The same key with the same task gives the stored outcome. */
  readonly key: string;
  readonly clients: readonly string[];
  readonly taskOf: (client: string) => T;
  /** Called as each client has answered, or failed. */
  readonly onDone?: (client: string, result: ResultFor<T> | undefined) => void;
  /** Told as the work goes on. @param share of all of it, 0 .. 1. @param answered clients that have answered, or failed */
  readonly onShare?: (share: number, answered: number) => void;
  /** A client's part of the work, by its rows; all are alike unless given. */
  readonly weight?: (rows: RowCounts) => number;
  /** Withdraws the clients' tasks. */
  readonly signal?: AbortSignal;
  /** Whether the blobs of the results serve this run alone, and nothing after it. @default false */
  readonly transient?: boolean;
}

export interface Answers<T extends TaskSpec> {
  /** In the order of the request's clients; those that failed are missing. */
  readonly results: ReadonlyMap<string, ResultFor<T>>;
  /** One per client asked, for the books. */
  readonly charges: readonly Charge[];
}

export interface CohortOptions {
  readonly pool: ClientPool;
  /** In the order of the run's reports. */
  readonly clients: readonly ClientInfo[];
  readonly events: EventSink;
  /** Told which blobs the results name. */
  readonly retention: Retention;
  readonly signal?: AbortSignal | undefined;
  /** A task fails when its progress has not grown for so long, milliseconds; 0: never. */
  readonly deadlineMs?: number | undefined;
}

export class Cohort {
  readonly names: readonly string[];
  private readonly byName: ReadonlyMap<string, { readonly info: ClientInfo; readonly index: number }>;
  private readonly noted: FaultNote[] = [];
  private readonly known = new Set<string>();

  constructor(private readonly options: CohortOptions) {
    this.names = options.clients.map(({ name }) => name);
    this.byName = new Map(options.clients.map((info, index) => [info.name, { info, index }]));
  }

  info(client: string): ClientInfo {
    return this.entry(client).info;
  }

  /** Place of a client in the run's order. */
  indexOf(client: string): number {
    return this.entry(client).index;
  }

  /** All faults so far: step by step, and within a step in the order of its clients. Arrival does not change the order. */
  get faults(): readonly FaultNote[] {
    return this.noted;
  }

  /** Has clients do a task each. @throws {KindredError} `cancelled` */
  async ask<T extends TaskSpec>(request: Request<T>): Promise<Answers<T>> {
    const { stage, key, clients, taskOf, onDone, signal, transient = false } = request;
    throwIfAborted(this.options.signal);
    const { pool, deadlineMs, retention } = this.options;
    const stop = [this.options.signal, signal].filter((one) => one !== undefined);
    const options = {
      ...(stop.length === 0 ? {} : { signal: stop.length === 1 ? stop[0]! : AbortSignal.any(stop) }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    };
    const follow = this.follower(request);
    const outcomes = await Promise.all(
      clients.map(async (client) => {
        const onProgress = follow && ((fraction: number) => follow(client, fraction, false));
        const outcome = await pool.run(key, client, taskOf(client), { ...options, ...(onProgress && { onProgress }) });
        follow?.(client, 1, true);
        if (outcome.ok && transient) retention.pass(outcome.result);
        else if (outcome.ok) retention.keep(outcome.result);
        onDone?.(client, outcome.ok ? outcome.result : undefined);
        return { client, outcome };
      }),
    );
    const results = new Map<string, ResultFor<T>>();
    const charges: Charge[] = [];
    for (const { client, outcome } of outcomes) {
      const { bytesUp, bytesDown } = outcome;
      charges.push({ key, client, flops: outcome.ok ? outcome.result.cost.flops : 0, bytesUp, bytesDown });
      if (outcome.ok) results.set(client, outcome.result);
      else this.fault(client, stage, outcome.message);
    }
    return { results, charges };
  }

  /** Sums up the progress of a request's clients, where it is asked for. */
  private follower<T extends TaskSpec>({ clients, onShare, weight }: Request<T>) {
    if (onShare === undefined) return undefined;
    const parts = new JointShare(new Map(clients.map((name) => [name, weight?.(this.info(name).rows) ?? 1])));
    let answered = 0;
    return (client: string, fraction: number, done: boolean): void => {
      if (done) answered++;
      onShare(parts.set(client, fraction), answered);
    };
  }

  /** Notes what went wrong with a client, once. */
  fault(client: string, stage: string, message: string): void {
    const key = JSON.stringify([client, stage, message]);
    if (this.known.has(key)) return;
    this.known.add(key);
    this.noted.push({ client, stage, message });
    this.options.events.emit({ type: "fault", client, stage, message });
  }

  /** Works with all clients at once. The faults are noted in the clients' order, not in the order in which they finish. */
  async sideBySide<R>(work: (client: string, index: number) => Promise<R>): Promise<R[]> {
    const before = this.noted.length;
    const results = await Promise.all(this.names.map(work));
    const added = this.noted.splice(before);
    this.noted.push(...added.sort((a, b) => this.indexOf(a.client) - this.indexOf(b.client)));
    return results;
  }

  /** Reads and writes blobs in pieces. */
  get blobs(): ClientPool["blobs"] {
    return this.options.pool.blobs;
  }

  getBlob(ref: BlobRef): Promise<Uint8Array> {
    return this.options.pool.getBlob(ref);
  }

  private entry(client: string): { readonly info: ClientInfo; readonly index: number } {
    const entry = this.byName.get(client);
    if (entry === undefined) throw new KindredError("internal", `client ${client} is not of this run`, { client });
    return entry;
  }
}
