/**
 * The report of a run as a value: the content of `report.json`, from which the page, the terminal summary and the CSV files are
 * rendered. Field names are a contract with other programs. The renderers know nothing but this file.
 *
 * Client names come from a user's file and are hostile: build the records keyed by them with `byClient`, read them with
 * `at` (a plain `record[name] = ...` loses a client called `__proto__`).
 */

import type { MethodCost, StageCost } from "../../coordinator/run/books.js";
import { METHODS, type MethodName } from "../../shared/config/enumerations.js";

export { METHODS, type MethodCost, type MethodName, type StageCost };

/** A 95 % interval: from the 2.5th to the 97.5th percentile of a bootstrap over test rows (intervals.ts). */
export type Interval = readonly [low: number, high: number];

/** Scores on test rows, as `kindred evaluate` defines them. Intervals are absent for a client with one test row. */
export interface TestScore {
  /** Mean negative log-likelihood per scored token, in nats. */
  readonly loss: number;
  /** Share of rows with choices whose right choice is the most likely, 0 to 1; null where no row has choices. */
  readonly accuracy: number | null;
  /** Macro-F1 of these rows, 0 to 1; absent where no row has choices. */
  readonly macroF1?: number;
  /** Of the loss. */
  readonly interval?: Interval;
  /** Of the accuracy; absent where that is null. */
  readonly accuracyInterval?: Interval;
  readonly macroF1Interval?: Interval;
}

export interface MethodResult {
  readonly clients: Readonly<Record<string, TestScore>>;
  /**
   * Unweighted means over clients; accuracy (else null) and macro-F1 (else absent) over the clients that have one. Their intervals are
   * for these clients, whose test rows alone are resampled, and absent where one of them has none.
   */
  readonly mean: TestScore;
  /** Such means over the clients of each group, in the order of `groups`. */
  readonly groups?: readonly TestScore[];
}

/** A measured difference. */
export interface Difference {
  readonly value: number;
  /** Paired: both methods on the same resampled test rows. */
  readonly interval?: Interval;
}

/** Gain of Kindred over another method on the same test rows; positive is better. */
export interface Gain {
  /** Nats per token. */
  readonly loss: Difference;
  /** Difference of shares; absent where no row has choices. */
  readonly accuracy?: Difference;
}

export interface Gains {
  readonly clients: Readonly<Record<string, Gain>>;
  /** Of the means over clients. */
  readonly mean: Gain;
  /** Of the means over each group's clients, in the order of `groups`. */
  readonly groups?: readonly Gain[];
}

/** An estimate made before any group was trained, and what it turned out to be. */
export interface Forecasted {
  readonly estimated: number;
  /** Of the estimate, by the validation rows; null where unknown. Only for means over clients. */
  readonly standardError?: number | null;
  /** Of Kindred's mixture on test rows. */
  readonly measured: number;
  /** Of the measured value. */
  readonly interval?: Interval | undefined;
}

/** Nats per row for clients with choices, else per scored token; and shares of right answers. */
export interface Forecasts {
  readonly mean: { readonly loss: Forecasted; readonly accuracy?: Forecasted; readonly macroF1?: Forecasted };
  readonly clients: Readonly<Record<string, { readonly loss: Forecasted; readonly accuracy?: Forecasted }>>;
}

/** What one boosting step changed: mean loss on validation rows, nats per token. */
export interface BoostingEffect {
  /** Name of its member. */
  readonly name: string;
  /** Index into `groups`, from 0. */
  readonly group: number;
  /** Length of the step; 0: it was dropped. */
  readonly step: number;
  readonly clients: Readonly<Record<string, { readonly before: number; readonly after: number }>>;
}

/** Right answers and answers given, over the test rows with choices of all clients. */
export interface Answers {
  /** The most frequent right answers, in descending order of their number. */
  readonly labels: readonly string[];
  /** Whether there are other answers: they share one more row and column behind the labels. */
  readonly others: boolean;
  /** [right answer][answer given]: numbers of rows. */
  readonly confusion: Readonly<Partial<Record<MethodName, readonly (readonly number[])[]>>>;
}

/** One test row, as text. */
export interface ExampleAnswer {
  readonly client: string;
  /** The end of the prompt, or of the text before the last words. */
  readonly prompt: string;
  /** The right completion; empty for plain text. */
  readonly right: string;
  /** Loss of each method in nats per token; and its answer, where the row has choices. */
  readonly methods: Readonly<Partial<Record<MethodName, { readonly loss: number; readonly answer?: string }>>>;
}

export interface Examples {
  readonly rows: readonly ExampleAnswer[];
  /** Rows among which they were drawn, and all test rows. */
  readonly of: number;
  readonly all: number;
  /** Whether they were drawn among the rows on which the methods' answers differ. */
  readonly differing: boolean;
}

export interface Planted {
  /** The groups of the population file: a partition of the clients. */
  readonly groups: readonly (readonly string[])[];
  /** Their names, one per group, where the population has them. */
  readonly names?: readonly string[] | undefined;
  /** Agreement of `groups` with the planted ones (Hubert and Arabie 1985): 1 equal, about 0 by chance. */
  readonly adjustedRandIndex: number;
}

export interface CurvePoint {
  /** Position in the curve's unit, ascending. */
  readonly step: number;
  /** Nats per token. */
  readonly trainLoss?: number | undefined;
  /** Nats per token, over the validation rows of the clients concerned. */
  readonly validationLoss?: number | undefined;
}

export interface Curve {
  /** For example "shared", "full", "group-1", "group-2-boost-1". */
  readonly name: string;
  /** Of a point's `step`. */
  readonly unit: "round" | "step";
  readonly points: readonly CurvePoint[];
}

/** One model of the ensemble. */
export interface Member {
  /** Shown unchanged; groups count from 1 by convention: "group-1", "group-1-boost-1". */
  readonly name: string;
  /** Index into `groups`, from 0. */
  readonly group: number;
  readonly kind: "group" | "boost";
}

export interface GroupingCandidate {
  /** Source of the partition, for example "one", "sdp", "spectral", "refined". */
  readonly label: string;
  /** Number of groups. */
  readonly groups: number;
  /** Value of the partition by the estimator; higher is better, as in `affinity`. Null where it was not evaluated. */
  readonly judged: number | null;
  /** Estimated gain over one group for all, in the unit of `judged`, and its standard error; null or absent where unknown. */
  readonly gainOverOne?: number | null;
  readonly standardError?: number | null;
  /** True for exactly one candidate. */
  readonly chosen: boolean;
}

export interface Grouping {
  readonly candidates: readonly GroupingCandidate[];
  /** Reason of the choice, in a sentence. */
  readonly reason: string;
  /** Meaning of `judged`, for example "minus the mean estimated validation loss". */
  readonly measure?: string | undefined;
}

export interface SweepTrial {
  readonly learningRate: number;
  /** Pooled over the clients' validation rows; null where training diverged. */
  readonly validationLoss: number | null;
}

/** A fact shown unchanged. */
export type Fact = string | number | boolean | null;

export interface Estimation {
  /** Number of random subsets of clients solved. */
  readonly subsets: number;
  /** Clients per subset. */
  readonly subsetSize: number;
  /** Entries of a sketched gradient. */
  readonly dim: number;
  /** Number of subsets that contain a pair of clients. */
  readonly pairCoverage: { readonly min: number; readonly mean: number; readonly max: number };
  /** Of an affinity, by the choice of subsets, in nats; null or absent where unknown. */
  readonly standardError?: number | null;
  /** Further facts: margin form, lambda, rows sketched, seconds. */
  readonly facts?: Readonly<Record<string, Fact>> | undefined;
}

/** A failure of one client that did not stop the run. */
export interface Fault {
  readonly client: string;
  /** For example "estimate", "train", "weigh". */
  readonly stage: string;
  readonly message: string;
}

export interface ModelFacts {
  /** The user's name for the model. */
  readonly name: string;
  /** Hash of the base model of both sides, hexadecimal. */
  readonly hash?: string | undefined;
  readonly parameters?: number | undefined;
  /** Further facts: layers, hidden size, vocabulary. */
  readonly facts?: Readonly<Record<string, Fact>> | undefined;
}

export interface StageTime {
  readonly stage: string;
  /** From its start to its end, with the pause of a run that was stopped meanwhile. */
  readonly wallSeconds: number;
}

export interface SplitSizes {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** A value of JSON. */
export type Json = Fact | readonly Json[] | { readonly [key: string]: Json };

export interface Report {
  readonly title: string;
  /** Names in the population's order. */
  readonly clients: readonly string[];
  /** The groups found: a partition of the clients. */
  readonly groups: readonly (readonly string[])[];
  /** [clients, clients] in the population's order; row i holds the affinities of client i; higher is better. */
  readonly affinity: readonly (readonly number[])[];
  /** A method not compared is absent. */
  readonly methods: Readonly<Partial<Record<MethodName, MethodResult>>>;
  readonly planted?: Planted | undefined;
  /** By the method that Kindred is compared with; absent where test rows were not kept. */
  readonly gains?: Readonly<Partial<Record<MethodName, Gains>>> | undefined;
  readonly forecasts?: Forecasts | undefined;
  readonly boosting?: readonly BoostingEffect[] | undefined;
  /** Absent where no row has choices. */
  readonly answers?: Answers | undefined;
  readonly examples?: Examples | undefined;
  readonly cost: Readonly<Partial<Record<MethodName, MethodCost>>>;
  readonly learningRate: number;
  readonly seed: number;
  /** For example {kindred, node, runtime, onnxruntime}: the runtime by its name, the others by their versions. */
  readonly versions: Readonly<Record<string, string>>;
  /** Largest resident set of the process, in bytes. */
  readonly peakRssBytes: number;

  /** Shared, full, each group, each boosting step. */
  readonly curves: readonly Curve[];
  readonly members: readonly Member[];
  /** Client -> one weight per member, in the members' order; at least 0. */
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly grouping: Grouping;
  /** Empty where the learning rate was given. */
  readonly sweep: readonly SweepTrial[];
  /** Of training all weights, which has its own learning rate; absent where it is not compared. */
  readonly full?: { readonly learningRate: number; readonly sweep: readonly SweepTrial[] } | undefined;
  readonly estimation: Estimation;
  readonly faults: readonly Fault[];
  /** Time of each stage of the run, in the order of their starts. */
  readonly stages?: readonly StageTime[];
  /** The frozen plan of the run. */
  readonly config: Json;
  readonly model: ModelFacts;
  /** Rows of each split of each client. */
  readonly rows?: Readonly<Record<string, SplitSizes>> | undefined;
  /** Tokens of these rows. */
  readonly tokens?: Readonly<Record<string, SplitSizes>> | undefined;
  /** From the run's first start to its end, with the pauses of a run that was stopped meanwhile. */
  readonly wallSeconds?: number | undefined;
  /** The command that reproduces this run, where there is one. */
  readonly command?: string | undefined;
}

/** A record keyed by untrusted names: every name, `__proto__` included, becomes an own property. */
export function byClient<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries(entries);
}

/** The record's own value for a name; never an inherited one. */
export function at<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
