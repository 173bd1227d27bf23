/**
 * The structured random projection that client and coordinator derive from a seed. It is never stored or sent.
 *
 * A tensor of n gradients is padded to a multiple of `dim`, its blocks are permuted, every element gets a random sign, and
 * element j is added to coordinate j mod dim: a count sketch (Charikar, Chen, Farach-Colton 2002) whose hash moves whole
 * blocks. So E[<Pu, Pv>] = <u, v> and the variance is at most (|u|^2 |v|^2 + <u, v>^2) / dim up to the blocks' share. A
 * free permutation costs 25 times more in a graph runtime (1.3 s against 0.05 s for 4.9 M parameters x 8 examples).
 */
import { SeededRng } from "../base/random.js";

/** The projection of one tensor to `dim` coordinates. */
export interface TensorProjection {
  /** Elements of the tensor. */
  readonly size: number;
  /** `size` rounded up to a multiple of the sketch's width. */
  readonly padded: number;
  /** Elements of a block; a divisor of the width. */
  readonly block: number;
  /** [padded / block] source of each block of the permuted tensor. */
  readonly order: Int32Array;
  /** [padded] +1 or -1. */
  readonly signs: Float32Array;
}

/** Longest block: longer ones gained no speed. */
const LONGEST_BLOCK = 64;

/**
 * The projection of a tensor.
 * @param name the tensor's name: each tensor has a random stream of its own
 * @param size elements of the tensor
 * @param dim coordinates of a sketch
 * @param which index among the seed's independent projections
 */
export function tensorProjection(
  seed: number | bigint,
  name: string,
  size: number,
  dim: number,
  which = 0,
): TensorProjection {
  const padded = Math.ceil(size / dim) * dim;
  let block = 1;
  while (block < LONGEST_BLOCK && dim % (2 * block) === 0) block *= 2;
  const rng = new SeededRng(seed, "sketch", name, dim, ...(which > 0 ? [which] : []));
  const order = rng.permutation(padded / block);
  const signs = new Float32Array(padded);
  for (let i = 0; i < padded; i++) signs[i] = rng.sign();
  return { size, padded, block, order, signs };
}

/** Adds the sketch of one tensor's gradient to `into` [dim]. Tests compare graphs with it. */
export function addSketch(projection: TensorProjection, gradient: Float32Array, into: Float64Array): void {
  const { padded, block, order, signs } = projection;
  for (let j = 0; j < padded; j++) {
    const from = (order[Math.floor(j / block)] as number) * block + (j % block);
    const at = j % into.length;
    into[at] = (into[at] as number) + (signs[j] as number) * (gradient[from] ?? 0);
  }
}
