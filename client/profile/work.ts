/** The works that `kindred profile` measures, their adapter, and their random rows. */
import { SeededRng } from "../../shared/base/random.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";

/**
 * `forward`: the logits of several adapters in one pass. `train`: one step, with the optimiser's. `sketch`: margins of a batch and
 * their sketched gradients at the adapter's start values.
 */
export type Work =
  | { readonly kind: "forward"; readonly members: number }
  | { readonly kind: "train" }
  | { readonly kind: "sketch" };

export interface Batch {
  readonly rows: number;
  /** Tokens per row that the model reads. */
  readonly tokens: number;
  /** Number of a row's last tokens for which logits are computed. At most `tokens`. */
  readonly scored: number;
}

/** The setting of all works. */
export interface Setting {
  /** A folder or a GGUF file. */
  readonly model: string;
  readonly quantization: Quantization | "none";
  /** A PEFT folder, or the settings of a run's adapter. */
  readonly adapter: { readonly folder: string } | { readonly rank: number; readonly modules: readonly string[] };
  readonly batch: Batch;
  readonly runtime: RuntimeChoice;
}

/** Width of a sketch: the default of estimation.dim. */
export const SKETCH_DIM = 400;

/** Random rows. The measurements do not depend on the tokens. */
export function drawnRows({ rows, tokens, scored }: Batch, vocabulary: number): EncodedRow[] {
  const rng = new SeededRng(0, "profile");
  // The last token is a target alone: the model does not read it.
  return Array.from({ length: rows }, () => ({
    tokens: Int32Array.from({ length: tokens + 1 }, () => rng.int(vocabulary)),
    scored: Int32Array.from({ length: scored }, (_, at) => tokens + 1 - scored + at),
  }));
}
