/** Tensors as plain values, of which adapters, sketches and messages consist. */

/** Row-major float32. */
export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Insertion-ordered named tensors: an adapter, a sketch, an update. */
export type NamedTensors = ReadonlyMap<string, FloatTensor>;

/** Number of elements. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}
