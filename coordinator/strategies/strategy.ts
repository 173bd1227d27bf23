/**
 * What a strategy is: who takes part in a round, when a round is over, what the clients' objective has beside the loss, and what
 * becomes of their updates. One strategy serves one training of several clients, round by round. It knows no messages, no blobs
 * and no journal: the caller asks clients, checks what they send (rounds/check.ts), and stores what a strategy returns.
 */
import type { SeededRng } from "../../shared/base/random.js";
import type { EventLoopYield } from "../algebra/yield.js";
import type { TensorShapes, TensorSink, TensorSource } from "./tensors.js";

export interface RoundClient {
  readonly name: string;
  /** Training rows. */
  readonly examples: number;
  /** Steps that the schedule has for the client in this round; 0: it has nothing to do. */
  readonly steps: number;
}

/** What a strategy knows of a round. */
export interface Round {
  /** The training's name, unique within a run: "shared", "group-2". */
  readonly training: string;
  /** From 0. */
  readonly index: number;
  /** Rounds of the whole training. */
  readonly count: number;
  /** All clients of the training, in the clients' order. */
  readonly clients: readonly RoundClient[];
  /** Of the clients' optimiser. */
  readonly learningRate: number;
  /** Randomness of this round: the same label gives the same numbers, also in a resumed run. */
  rng(label: string): SeededRng;
}

/** A client that has answered, with an update or with a failure. */
export interface Arrival {
  readonly client: string;
  /** False where the client's task failed. */
  readonly ok: boolean;
  /** Since the round's tasks were given, milliseconds. */
  readonly elapsedMs: number;
}

/** A client's update that passed all checks: its names, shapes and values are sound. */
export interface Update {
  readonly client: string;
  /** Training rows behind it, at least 1. */
  readonly examples: number;
  /** What the client ended with; its shapes are `Work.shapes`. */
  readonly values: TensorSource;
  /** Squared L2 distance from the start, over the start's tensors, summed in float64. */
  readonly squaredDistance: number;
}

export interface Rejection {
  readonly client: string;
  readonly reason: string;
}

/** What one round leaves for the next. The caller stores it, so that a resumed run goes on bit for bit. */
export interface StrategyState {
  readonly tensors: Readonly<Record<string, TensorSource>>;
  /** Finite. */
  readonly numbers: Readonly<Record<string, number>>;
}

export interface RoundOutcome {
  /** What the next round starts from: `Work.shapes`, in their order. */
  readonly next: TensorSource;
  readonly state?: StrategyState | undefined;
}

/** What an aggregator works with. */
export interface Work {
  /** Names and shapes of every update. */
  readonly shapes: TensorShapes;
  /**
   * What the clients started from. In a training's first round the coordinator does not know the values that clients drew from
   * the seed (LoRA's A): those tensors are not among the start's, and the strategy returns their mean.
   */
  readonly start: TensorSource;
  /** What this strategy's last round left. */
  readonly state: StrategyState | undefined;
  /** Elements per chunk that are handled at one time. */
  readonly chunkValues: number;
  /** Begins tensors that are stored: the next values, or a part of the state. */
  create(shapes: TensorShapes): Promise<TensorSink>;
  /** To be awaited after every few milliseconds of work. */
  readonly yieldToEventLoop: EventLoopYield;
}

/** Takes the updates of one round. Calls do not overlap. */
export interface Aggregator {
  /** Takes an update or says why not. The result must not depend on the order of the calls. */
  accept(update: Update): Promise<Rejection | undefined>;
  /** The round's end; undefined where no update was accepted, and nothing moves. */
  finish(): Promise<RoundOutcome | undefined>;
}

export interface Strategy {
  /** How configurations name it. */
  readonly name: string;
  /** Terms of the clients' objective beside the loss. `proximal`: mu of mu/2 |w - start|^2 (FedProx). */
  client?(round: Round): { readonly proximal?: number };
  /** Names of those who are asked. @default all that have steps to do */
  select?(round: Round): readonly string[];
  /**
   * Whether the round ends now, with the arrivals so far. Asked after each arrival and every second.
   * @default once all that were asked have answered
   */
  closes?(arrivals: readonly Arrival[], round: Round, elapsedMs: number): boolean;
  begin(round: Round, work: Work): Aggregator;
}
