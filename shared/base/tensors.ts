/** A tensor as a plain value: what adapters, sketches and messages are made of. */

/** Row-major float32. */
export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Insertion-ordered named tensors: an adapter, a sketch, an update. */
export type NamedTensors = ReadonlyMap<string, FloatTensor>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}
