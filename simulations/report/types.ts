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

/** Scores on test rows, as `kindred evaluate` defines them. */
export interface TestScore {
  /** Mean negative log-likelihood per scored token, in nats. */
  readonly loss: number;
  /** Share of rows with choices whose right choice is the most likely, 0 to 1; null where no row has choices. */
  readonly accuracy: number | null;
  /** Macro-F1 of these rows, 0 to 1; absent where no row has choices. */
  readonly macroF1?: number;
}

export interface MethodResult {
  readonly clients: Readonly<Record<string, TestScore>>;
  /** Unweighted means over clients; accuracy (else null) and macro-F1 (else absent) over the clients that have one. */
  readonly mean: TestScore;
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
