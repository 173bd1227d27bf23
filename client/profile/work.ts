/** What `kindred profile` measures: kinds of work, the adapter, and drawn rows to do it on. */
import { SeededRng } from "../../shared/base/random.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";

/**
 * `forward`: the logits of several adapters in one pass. `train`: a step, with the optimiser's. `sketch`: margins of a batch and
 * their sketched gradients, as a client is asked for at its first values.
 */
export type Work =
  | { readonly kind: "forward"; readonly members: number }
  | { readonly kind: "train" }
  | { readonly kind: "sketch" };

export interface Batch {
  readonly rows: number;
  /** Tokens of a row that the model reads. */
  readonly tokens: number;
  /** How many of a row's last tokens have their successor scored: logits are computed for those alone. At most `tokens`. */
  readonly scored: number;
}

/** The work's circumstances, the same for all of it. */
export interface Setting {
  /** A folder or a GGUF file. */
  readonly model: string;
  readonly quantization: Quantization | "none";
  /** A PEFT folder, or what a run's configuration would say of its adapter. */
  readonly adapter: { readonly folder: string } | { readonly rank: number; readonly modules: readonly string[] };
  readonly batch: Batch;
  readonly runtime: RuntimeChoice;
}

/** Numbers of a sketch, as a run's estimation.dim has it unless told. */
export const SKETCH_DIM = 400;

/** Drawn rows. What the tokens are does not matter to what is measured. */
export function drawnRows({ rows, tokens, scored }: Batch, vocabulary: number): EncodedRow[] {
  const rng = new SeededRng(0, "profile");
  // The last token is a target alone: nothing is computed for it.
  return Array.from({ length: rows }, () => ({
    tokens: Int32Array.from({ length: tokens + 1 }, () => rng.int(vocabulary)),
    scored: Int32Array.from({ length: scored }, (_, at) => tokens + 1 - scored + at),
  }));
}
