/**
 * Named tensors in chunks: an adapter's values are read and written piece by piece, so that no adapter need be in memory. A
 * strategy sees these interfaces alone; where the bytes lie is the matter of who made the source (stored-tensors.ts).
 */
import { type NamedTensors, sizeOf } from "../../shared/base/tensors.js";

/** Names and shapes in the order of their bytes; the values do not matter. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** Tensors that are read in chunks. */
export interface TensorSource {
  readonly shapes: TensorShapes;
  /**
   * Fills `into` with the values of the tensor `name`, row-major, from element `from` on. The caller owns `into` and may use one
   * buffer for many reads: a new buffer for each would leave the garbage collector up to 64 MB behind.
   */
  read(name: string, from: number, into: Float32Array): Promise<void>;
}

/** Tensors that are written once, from the first to the last in the order of their shapes. */
export interface TensorSink {
  /** The next values; they may be overwritten once the promise has resolved. */
  append(values: Float32Array): Promise<void>;
  /** @throws {KindredError} `internal` where fewer values came than the shapes hold */
  finish(): Promise<TensorSource>;
  /** Gives up; what was written is deleted. */
  abort(): Promise<void>;
}

/** Values of one tensor that are handled at one time. */
export interface Chunk {
  readonly name: string;
  /** First element. */
  readonly from: number;
  /** Elements. */
  readonly count: number;
}

/**
 * Elements per chunk: 256 KiB. Reading 40 MB from the page cache and adding them to a sum takes 73 ms in chunks of 16 Ki elements,
 * 42 ms with 64 Ki and 37 ms with 1 Mi (Node 20, AMD EPYC).
 */
export const CHUNK_VALUES = 64 * 1024;

/** All tensors in order, each cut into chunks of at most `most` elements. */
export function* chunksOf(shapes: TensorShapes, most: number): Generator<Chunk> {
  for (const [name, { shape }] of shapes) {
    const size = sizeOf(shape);
    for (let from = 0; from < size; from += most) yield { name, from, count: Math.min(most, size - from) };
  }
}

/** Elements of the largest chunk: what a buffer must hold. */
export function largestChunk(shapes: TensorShapes, most: number): number {
  let largest = 0;
  for (const { shape } of shapes.values()) largest = Math.max(largest, sizeOf(shape));
  return Math.min(most, largest);
}

/** Tensors that are in memory already. */
export function tensorsInMemory(tensors: NamedTensors): TensorSource {
  return {
    shapes: new Map(Array.from(tensors, ([name, { shape }]) => [name, { shape }])),
    read: async (name, from, into) => {
      const data = tensors.get(name)?.data;
      if (data === undefined) throw new RangeError(`no tensor ${name}`);
      into.set(data.subarray(from, from + into.length));
    },
  };
}

/** Zeros of these shapes. */
export function zeroTensors(shapes: TensorShapes): TensorSource {
  return {
    shapes,
    read: async (_name, _from, into) => {
      into.fill(0);
    },
  };
}
