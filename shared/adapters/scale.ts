/** The scale of a LoRA; and one rank and scale for an adapter whose modules have ranks and scales of their own. */
import { KindredError } from "../base/errors.js";
import type { FloatTensor, NamedTensors } from "../base/tensors.js";
import type { Target } from "./targets.js";

export interface Scaled {
  readonly rank: number;
  readonly alpha: number;
  /** scale = alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732). */
  readonly useRslora: boolean;
}

/** The factor of B A. */
export function scaleOf({ rank, alpha, useRslora }: Scaled): number {
  return alpha / (useRslora ? Math.sqrt(rank) : rank);
}

/** Largest growth by padding. EVA (Paischer et al. 2024), which gives modules their own ranks, has at most twice the mean rank. */
const MAX_PADDING_FACTOR = 16;

/**
 * The same adapter with one rank and one alpha: unchanged where its modules agree; otherwise all modules have the largest rank,
 * padded with zeros, and each module's scale is multiplied into its B.
 * @param tensors each module's "... .lora_A.weight" [rank, in] and "... .lora_B.weight" [out, rank], by its own rank
 * @param targetOf rank and alpha of a tensor's module
 * @throws {KindredError} `unsupported` where padding would multiply the adapter's size
 */
export function withOneRank(
  tensors: NamedTensors,
  targetOf: (tensor: string) => Target,
  useRslora: boolean,
  source: string,
): Scaled & { readonly tensors: NamedTensors } {
  const targets = Array.from(tensors.keys(), targetOf);
  const { rank, alpha } = targets[0] as Target;
  if (targets.every((each) => each.rank === rank && each.alpha === alpha)) return { rank, alpha, useRslora, tensors };
  const widest = targets.reduce((most, each) => Math.max(most, each.rank), 0);
  const sizes = { read: 0, padded: 0 };
  for (const [name, { data }] of tensors) {
    sizes.read += data.length;
    sizes.padded += (data.length / targetOf(name).rank) * widest;
  }
  if (sizes.padded > MAX_PADDING_FACTOR * sizes.read) {
    throw new KindredError("unsupported", `${source}: the ranks of its modules differ too much (up to ${widest})`, {
      file: source,
    });
  }
  const all = new Map<string, FloatTensor>();
  for (const [name, tensor] of tensors) {
    const target = targetOf(name);
    all.set(
      name,
      name.endsWith(".lora_A.weight")
        ? padRows(tensor, widest)
        : padColumns(tensor, widest, scaleOf({ ...target, useRslora })),
    );
  }
  return { rank: widest, alpha: widest, useRslora: false, tensors: all };
}

/** Adds rows of zeros. */
function padRows({ shape, data }: FloatTensor, rows: number): FloatTensor {
  const width = shape[1] as number;
  const padded = new Float32Array(rows * width);
  padded.set(data);
  return { shape: [rows, width], data: padded };
}

/** Multiplies by `scale` and adds columns of zeros. */
function padColumns({ shape, data }: FloatTensor, columns: number, scale: number): FloatTensor {
  const [rows, width] = shape as [number, number];
  const padded = new Float32Array(rows * columns);
  data.forEach((value, at) => {
    padded[Math.floor(at / width) * columns + (at % width)] = scale * value;
  });
  return { shape: [rows, columns], data: padded };
}
