/** What messages of several kinds name, as plain values. Units and ranges are documented in proto/kindred/v1. */
import type { AdapterSettings, FullSettings } from "../adapters/settings.js";

/** Names bytes by their content. */
export interface BlobRef {
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export type SplitName = "train" | "validation" | "test";

/** Rows that a client holds, per split. */
export interface RowCounts {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** What a piece of work took on the client. */
export interface TaskCost {
  /** Floating-point operations, a multiply-add counted as 2. */
  readonly flops: number;
  readonly computeSeconds: number;
  /** Largest resident memory of the client's process so far; 0 where unknown. */
  readonly peakRssBytes: number;
}

interface Initial {
  /** Seed of the fresh initial values. */
  readonly initSeed: number;
}

export type AdapterSpec = AdapterSettings & Initial;
/** What can be trained and scored: an adapter, or all weights. */
export type TunedSpec = AdapterSpec | (FullSettings & Initial);

/** An adapter with a fixed factor of its logit difference to the base model. */
export interface WeightedAdapter {
  readonly adapter: BlobRef;
  readonly weight: number;
}

/** What gives the numbers of a client their meaning. All clients of a run have the same. */
export interface ModelIdentity {
  /** Format that the base model's linears are rounded to; "none" where they are as in the files. */
  readonly quantization: string;
  /** SHA-256 of the base model, quantisation included. */
  readonly modelHash: string;
  /** SHA-256 of what turns text into token ids. */
  readonly tokenizerHash: string;
  /** SHA-256 of the chat template and the special tokens that it writes; null for a client without rows of messages. */
  readonly chatTemplateHash: string | null;
  /** Token that is appended to free answers, "none" where none is; null for a client without such rows. */
  readonly endOfFreeAnswers: string | null;
  /** The same for rows of any other kind. */
  readonly endOfOtherRows: string | null;
}
