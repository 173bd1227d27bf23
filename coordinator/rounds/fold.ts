/**
 * The updates of one round become the next values: each update is checked in full as it is taken, a bad one is left out with its
 * reason and changes nothing for the others, and the strategy makes one of the rest. No adapter is in memory as a whole.
 */
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import type { TransformName } from "../../shared/transforms/names.js";
import type { BlobRef, TunedSpec } from "../../shared/wire/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import { openUpdate } from "../inbox/update.js";
import type { Aggregator, Rejection, Round, Strategy, StrategyState, Work } from "../strategies/strategy.js";
import { CHUNK_VALUES, largestChunk, type TensorShapes, type TensorSource } from "../strategies/tensors.js";
import {
  CheckBuffers,
  checkValues,
  freshStart,
  shapeError,
  signatureOf,
  specError,
  type UpdateSteps,
} from "./check.js";
import { StoredTensors, StoringSink, storeTensors, type TensorBlobs } from "./stored-tensors.js";

/** A strategy's state as the journal keeps it. */
export interface StoredState {
  readonly tensors: Readonly<Record<string, BlobRef>>;
  readonly numbers: Readonly<Record<string, number>>;
}

/** An update as a client sent it. */
export interface SentUpdate {
  readonly client: string;
  /** Training rows behind it. */
  readonly examples: number;
  readonly values: BlobRef;
  /** Transforms that the client applied. Absent: none. */
  readonly transforms?: readonly TransformName[] | undefined;
  readonly steps: UpdateSteps;
}

export interface RoundFoldOptions {
  readonly blobs: TensorBlobs;
  readonly strategy: Strategy;
  readonly round: Round;
  readonly adapter: TunedSpec;
  /** What the clients started from. Absent in a training's first round: they drew it from the seed. */
  readonly start: BlobRef | undefined;
  readonly state: StoredState | undefined;
  /** Names and shapes of a whole adapter, where the run knows them; else those that most updates have are right. */
  readonly expected: TensorShapes | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Elements per chunk. @default CHUNK_VALUES */
  readonly chunkValues?: number;
}

export interface FoldedRound {
  /** Absent where no update was accepted: nothing moves, and the state stays. */
  readonly next: StoredTensors | undefined;
  readonly state: StoredState | undefined;
  /** Updates that are in it. */
  readonly accepted: number;
  /** In the clients' order. */
  readonly rejected: readonly Rejection[];
}

/** What is known once the right names and shapes are. */
interface Opened {
  readonly work: Work;
  readonly aggregator: Aggregator;
  readonly buffers: CheckBuffers;
}

export class RoundFold {
  private readonly rejected = new Map<string, string>();
  /** Taken before the right names and shapes are known. */
  private waiting: { readonly update: SentUpdate; readonly values: TensorSource }[] = [];
  private opened: Opened | undefined;
  private accepted = 0;
  /** Updates are taken one after the other: memory must not grow with how many arrive at one time. */
  private last: Promise<void> = Promise.resolve();
  private readonly yieldToEventLoop;
  private readonly chunkValues: number;

  /** Why an update could not be taken, where that is no fault of its client. */
  private failure: { readonly error: unknown } | undefined;

  constructor(readonly options: RoundFoldOptions) {
    this.yieldToEventLoop = eventLoopYield(options.signal);
    this.chunkValues = options.chunkValues ?? CHUNK_VALUES;
  }

  /**
   * Takes an update as it arrives: calls may overlap, and nothing needs to wait for one. A bad update is no error. `finish` says why
   * it was left out, and throws what went wrong otherwise.
   */
  accept(update: SentUpdate): Promise<void> {
    this.last = this.last
      .then(() => (this.failure === undefined ? this.take(update) : undefined))
      .catch((error: unknown) => {
        this.failure = { error };
      });
    return this.last;
  }

  /** @throws {KindredError} `cancelled`; `internal`, `invalid_option` where the strategy breaks its word */
  async finish(): Promise<FoldedRound> {
    await this.last;
    if (this.failure !== undefined) throw this.failure.error;
    await this.decideShapes();
    const outcome = this.accepted === 0 ? undefined : await this.opened?.aggregator.finish();
    const { round, strategy, state } = this.options;
    const rejected = round.clients.flatMap(({ name }) => {
      const reason = this.rejected.get(name);
      return reason === undefined ? [] : [{ client: name, reason }];
    });
    if (outcome === undefined || this.opened === undefined) {
      return { next: undefined, state, accepted: this.accepted, rejected };
    }
    const wrong = shapeError(outcome.next.shapes, this.opened.work.shapes);
    if (wrong !== undefined) {
      throw new KindredError(
        "invalid_option",
        `strategy ${strategy.name}: the next values must have the updates' shapes; ${wrong}`,
      );
    }
    return {
      next: await this.stored(outcome.next),
      state: outcome.state && (await this.storedState(outcome.state)),
      accepted: this.accepted,
      rejected,
    };
  }

  private async take(update: SentUpdate): Promise<void> {
    const { blobs, adapter, start, expected } = this.options;
    const { client } = update;
    const reject = (reason: string): void => {
      this.rejected.set(client, reason);
    };
    if (start !== undefined) this.opened ??= await this.open(await StoredTensors.open(blobs, start));
    else if (expected !== undefined) this.opened ??= await this.open(undefined);
    try {
      const values = await this.valuesOf(update);
      const wrong = start === undefined ? specError(values.shapes, adapter) : undefined;
      if (wrong !== undefined) return reject(wrong);
      if (this.opened === undefined) {
        this.waiting.push({ update, values });
        return;
      }
      const reason = await this.hand(this.opened, update, values);
      if (reason !== undefined) reject(reason);
    } catch (error) {
      const { code, message } = asKindredError(error);
      if (code !== "invalid_message" && code !== "not_found") throw error;
      reject(message);
    }
  }

  /** An update's values, whatever transforms it passed. */
  private valuesOf({ client, values, transforms = [] }: SentUpdate): Promise<TensorSource> {
    const { blobs } = this.options;
    const source = `update of ${client}`;
    const start = this.opened?.work.start;
    if (transforms.length === 0 || start === undefined) return StoredTensors.open(blobs, values, { source });
    return openUpdate(blobs, values, { transforms, start, source });
  }

  /** A first round without a precedent: the names and shapes that most updates have are right. */
  private async decideShapes(): Promise<void> {
    if (this.opened !== undefined || this.waiting.length === 0) return;
    const { clients } = this.options.round;
    const place = new Map(clients.map(({ name }, at) => [name, at]));
    const at = ({ update }: { update: SentUpdate }): number => place.get(update.client) ?? clients.length;
    const updates = this.waiting.sort((a, b) => at(a) - at(b));
    this.waiting = [];
    this.opened = await this.open(undefined, mostCommon(updates.map(({ values }) => values.shapes)));
    for (const { update, values } of updates) {
      const reason = await this.hand(this.opened, update, values);
      if (reason !== undefined) this.rejected.set(update.client, reason);
    }
  }

  private async open(stored: StoredTensors | undefined, common?: TensorShapes): Promise<Opened> {
    const { blobs, adapter, expected, state, strategy, round } = this.options;
    const given = stored?.shapes ?? expected ?? common ?? new Map();
    const shapes: TensorShapes = new Map(Array.from(given, ([name, { shape }]) => [name, { shape }]));
    const work: Work = {
      shapes,
      start: stored ?? freshStart(shapes, adapter),
      state: state && (await openState(blobs, state)),
      chunkValues: this.chunkValues,
      create: (wanted) => StoringSink.begin(blobs, wanted),
      yieldToEventLoop: this.yieldToEventLoop,
    };
    const buffers = new CheckBuffers(largestChunk(shapes, this.chunkValues));
    return { work, aggregator: strategy.begin(round, work), buffers };
  }

  /** Checks an update against the right shapes and gives it to the strategy. @returns why it is left out */
  private async hand(
    { work, aggregator, buffers }: Opened,
    { client, examples, steps }: SentUpdate,
    values: TensorSource,
  ): Promise<string | undefined> {
    if (!(examples > 0)) throw new KindredError("internal", `an update of ${examples} examples`);
    const wrong = shapeError(values.shapes, work.shapes);
    if (wrong !== undefined) return wrong;
    // A whole model starts from the base's weights, which the coordinator does not have.
    const unknown = this.options.start === undefined && this.options.adapter.kind === "full";
    const found = await checkValues({
      values,
      start: work.start,
      steps: unknown ? undefined : steps,
      yieldToEventLoop: this.yieldToEventLoop,
      chunkValues: this.chunkValues,
      buffers,
    });
    if ("reason" in found) return found.reason;
    const refused = await aggregator.accept({ client, examples, values, squaredDistance: found.squaredDistance });
    if (refused !== undefined) return refused.reason;
    this.accepted++;
    return undefined;
  }

  private async storedState({ tensors, numbers }: StrategyState): Promise<StoredState> {
    const refs: Record<string, BlobRef> = {};
    for (const [name, source] of Object.entries(tensors)) refs[name] = (await this.stored(source)).ref;
    return { tensors: refs, numbers };
  }

  /** As it is where the strategy wrote it through `create`; a source of its own is copied. */
  private async stored(source: TensorSource): Promise<StoredTensors> {
    if (source instanceof StoredTensors) return source;
    return storeTensors(this.options.blobs, source.shapes, () => source);
  }
}

async function openState(blobs: TensorBlobs, { tensors, numbers }: StoredState): Promise<StrategyState> {
  const opened: Record<string, TensorSource> = {};
  for (const [name, ref] of Object.entries(tensors)) opened[name] = await StoredTensors.open(blobs, ref);
  return { tensors: opened, numbers };
}

/** The names and shapes that most have; of equally many, the first ones. */
export function mostCommon(all: readonly TensorShapes[]): TensorShapes | undefined {
  const seen = new Map<string, { count: number; shapes: TensorShapes }>();
  for (const shapes of all) {
    const key = signatureOf(shapes);
    const entry = seen.get(key) ?? { count: 0, shapes };
    entry.count++;
    seen.set(key, entry);
  }
  let best: { count: number; shapes: TensorShapes } | undefined;
  for (const entry of seen.values()) if (best === undefined || entry.count > best.count) best = entry;
  return best?.shapes;
}
