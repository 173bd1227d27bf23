/** Candidate partitions: their sources, values and gains. */
import type { Partition } from "./partition.js";

/** Grouping methods of other work, for comparison. */
export const BASELINES = ["spectral", "cocluster", "agglomerative", "random"] as const;
export type Baseline = (typeof BASELINES)[number];

export type CandidateSource = "one" | "sdp" | "apart" | "merged" | "refined" | Baseline;

/** A partition and its source. */
export interface Proposal {
  readonly partition: Partition;
  readonly source: CandidateSource;
}

/** A proposal that the search keeps. */
export interface FoundPartition extends Proposal {
  /** ln of the number of partitions among which refinement chose it; 0 where it was not refined. */
  readonly choices: number;
}

export interface Candidate extends Proposal {
  /** The evaluator's value, higher is better; the density where there is no evaluator. */
  readonly value: number;
  /** Within-group density on the standardised affinity. */
  readonly density: number;
  /** Value minus that of one group; null without an evaluator. */
  readonly gainOverOne: number | null;
  /** Of `gainOverOne`. */
  readonly standardError: number | null;
}
