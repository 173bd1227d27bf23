/**
 * Tensors in blobs, as safetensors, read and written in chunks. A blob may come from a client: its header is checked in full before
 * anything of its size is allocated, and it is never in memory as a whole.
 */
import {
  floatWidth,
  type ParseOptions,
  readSafetensorsRanges,
  safetensorsHeader,
  type TensorEntry,
  toFloats,
} from "../../shared/adapters/safetensors.js";
import { KindredError } from "../../shared/base/errors.js";
import { sizeOf } from "../../shared/base/tensors.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Blobs } from "../storage/types.js";
import {
  CHUNK_VALUES,
  chunksOf,
  largestChunk,
  type TensorShapes,
  type TensorSink,
  type TensorSource,
} from "../strategies/tensors.js";

/** What tensors need of the blobs. */
export type TensorBlobs = Pick<Blobs, "range" | "readInto" | "write">;

/** Tensors of a stored blob. */
export class StoredTensors implements TensorSource {
  private constructor(
    private readonly blobs: TensorBlobs,
    readonly ref: BlobRef,
    readonly shapes: ReadonlyMap<string, TensorEntry>,
  ) {}

  /**
   * Reads the blob's header and none of its tensors.
   * @throws {KindredError} `options.code` (default `invalid_message`) where the blob does not hold tensors of floats, `not_found`
   */
  static async open(blobs: TensorBlobs, ref: BlobRef, options: ParseOptions = {}): Promise<StoredTensors> {
    const read = (offset: number, length: number): Promise<Uint8Array> => blobs.range(ref, offset, length);
    const { tensors } = await readSafetensorsRanges(read, ref.size, options);
    for (const [name, { dtype }] of tensors) {
      if (floatWidth(dtype) !== undefined) continue;
      const message = `${options.source ?? "blob"}: tensor ${JSON.stringify(name.slice(0, 200))} is ${dtype}; expected F32, F16 or BF16`;
      throw new KindredError(options.code ?? "invalid_message", message, { tensor: name, dtype });
    }
    return new StoredTensors(blobs, ref, tensors);
  }

  async read(name: string, from: number, into: Float32Array): Promise<void> {
    const entry = this.shapes.get(name);
    const width = entry && floatWidth(entry.dtype);
    if (entry === undefined || width === undefined || (from + into.length) * width > entry.byteLength) {
      throw new KindredError(
        "internal",
        `blob ${this.ref.sha256} holds no ${into.length} values of ${name} from ${from}`,
      );
    }
    const offset = entry.offset + from * width;
    if (entry.dtype === "F32") {
      const target = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
      return this.blobs.readInto(this.ref, offset, target);
    }
    // A range is in a buffer of its own, from that buffer's first byte on.
    const halves = await this.blobs.range(this.ref, offset, into.length * width);
    into.set(toFloats(entry.dtype, new Uint8Array(halves)) as Float32Array);
  }
}

/** Tensors that become a blob. */
export class StoringSink implements TensorSink {
  private missing: number;

  private constructor(
    private readonly blobs: TensorBlobs,
    private readonly writer: Awaited<ReturnType<TensorBlobs["write"]>>,
    readonly shapes: TensorShapes,
  ) {
    this.missing = 0;
    for (const { shape } of shapes.values()) this.missing += sizeOf(shape);
  }

  static async begin(blobs: TensorBlobs, shapes: TensorShapes): Promise<StoringSink> {
    const writer = await blobs.write();
    try {
      await writer.append(safetensorsHeader(shapes));
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return new StoringSink(blobs, writer, shapes);
  }

  async append(values: Float32Array): Promise<void> {
    if (values.length > this.missing) {
      throw new KindredError("internal", `${values.length - this.missing} values more than the tensors hold`);
    }
    this.missing -= values.length;
    await this.writer.append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  async finish(): Promise<StoredTensors> {
    if (this.missing > 0) throw new KindredError("internal", `${this.missing} values of the tensors were not written`);
    return StoredTensors.open(this.blobs, await this.writer.finish());
  }

  abort(): Promise<void> {
    return this.writer.abort();
  }
}

/** Stores tensors, each read from where `sourceOf` says. */
export async function storeTensors(
  blobs: TensorBlobs,
  shapes: TensorShapes,
  sourceOf: (name: string) => TensorSource,
): Promise<StoredTensors> {
  const sink = await StoringSink.begin(blobs, shapes);
  try {
    const buffer = new Float32Array(largestChunk(shapes, CHUNK_VALUES));
    for (const { name, from, count } of chunksOf(shapes, CHUNK_VALUES)) {
      const part = buffer.subarray(0, count);
      await sourceOf(name).read(name, from, part);
      await sink.append(part);
    }
    return await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
