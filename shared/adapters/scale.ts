/** How strongly a LoRA counts, and one rank and scale for an adapter whose modules have their own. */
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

/** EVA (Paischer et al. 2024), which gives modules ranks of their own, makes the widest at most twice as wide as the mean. */
const MOST_FILLING = 16;

/**
 * The same adapter with one rank and alpha: as it is where its modules agree; else all are as wide as the widest, filled with
 * zeros, and each one's scale is in its B.
 * @param tensors each module's "... .lora_A.weight" [rank, in] and "... .lora_B.weight" [out, rank], by its own rank
 * @param targetOf what holds for the module of a tensor
 * @throws {KindredError} `unsupported` where filling would make far more of it than there is
 */
export function unified(
  tensors: NamedTensors,
  targetOf: (tensor: string) => Target,
  useRslora: boolean,
  source: string,
): Scaled & { readonly tensors: NamedTensors } {
  const targets = Array.from(tensors.keys(), targetOf);
  const { rank, alpha } = targets[0] as Target;
  if (targets.every((each) => each.rank === rank && each.alpha === alpha)) return { rank, alpha, useRslora, tensors };
  const widest = targets.reduce((most, each) => Math.max(most, each.rank), 0);
  const sizes = { read: 0, filled: 0 };
  for (const [name, { data }] of tensors) {
    sizes.read += data.length;
    sizes.filled += (data.length / targetOf(name).rank) * widest;
  }
  if (sizes.filled > MOST_FILLING * sizes.read) {
    throw new KindredError("unsupported", `${source}: the ranks of its modules are too different (up to ${widest})`, {
      file: source,
    });
  }
  const all = new Map<string, FloatTensor>();
  for (const [name, tensor] of tensors) {
    const target = targetOf(name);
    all.set(
      name,
      name.endsWith(".lora_A.weight")
        ? higher(tensor, widest)
        : wider(tensor, widest, scaleOf({ ...target, useRslora })),
    );
  }
  return { rank: widest, alpha: widest, useRslora: false, tensors: all };
}

/** With rows of zeros below. */
function higher({ shape, data }: FloatTensor, rows: number): FloatTensor {
  const width = shape[1] as number;
  const filled = new Float32Array(rows * width);
  filled.set(data);
  return { shape: [rows, width], data: filled };
}

/** Times `scale`, with columns of zeros on the right. */
function wider({ shape, data }: FloatTensor, columns: number, scale: number): FloatTensor {
  const [rows, width] = shape as [number, number];
  const filled = new Float32Array(rows * columns);
  data.forEach((value, at) => {
    filled[Math.floor(at / width) * columns + (at % width)] = scale * value;
  });
  return { shape: [rows, columns], data: filled };
}
