/**
 * Updates as clients sent them: the inverses of the outbox's transforms, chunk by chunk. A blob comes from a client: its header is
 * checked in full when it is opened, scales when they are read. What is wrong with it is said of `source`, its client.
 */
import { type ParseOptions, readSafetensorsRanges, type TensorEntry } from "../../shared/adapters/safetensors.js";
import { KindredError } from "../../shared/base/errors.js";
import { sizeOf } from "../../shared/base/tensors.js";
import { blockOf, codesAsFloats, scaleCount, scaledName, scalesName } from "../../shared/transforms/coded.js";
import type { TransformName } from "../../shared/transforms/names.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Blobs } from "../storage/types.js";
import type { TensorShapes, TensorSource } from "../strategies/tensors.js";

export interface UpdateOptions {
  /** What the task asked for and the result says was done; at least one. */
  readonly transforms: readonly TransformName[];
  /** What the client started from: coded tensors are differences to it. */
  readonly start: TensorSource;
  /** Names the client in messages: "update of a". */
  readonly source: string;
}

/** Transform -> dtype of the codes that it makes. */
const CODES: Readonly<Record<TransformName, "I8" | "F16">> = { fp16: "F16", int8: "I8" };

type Coding = "I8" | "F16";

/**
 * Opens an update that transforms have changed. Reads its header and none of its tensors; its values are start + difference.
 * @throws {KindredError} `invalid_message` where the blob is not what the transforms make, `not_found`
 */
export async function openUpdate(
  blobs: Pick<Blobs, "range">,
  ref: BlobRef,
  { transforms, start, source }: UpdateOptions,
): Promise<TensorSource> {
  const options: ParseOptions = { source };
  const { tensors } = await readSafetensorsRanges((from, length) => blobs.range(ref, from, length), ref.size, options);
  const coding = transforms.map((name) => CODES[name]).at(-1) as Coding;
  const shapes = new Map<string, { shape: readonly number[] }>();
  for (const [name, entry] of tensors) {
    const wrong = entryError({ name, entry, tensors, coding, start: start.shapes });
    if (wrong !== undefined) throw new KindredError("invalid_message", `${source}: tensor ${shown(name)} ${wrong}`);
    if (scaledName(name) === undefined) shapes.set(name, { shape: entry.shape });
  }
  return new CodedTensors({ blobs, ref, tensors, start, source }, shapes);
}

const shown = (name: string): string => JSON.stringify(name.slice(0, 200));

/** Why an entry is not what a client of this run sends. */
function entryError({
  name,
  entry,
  tensors,
  coding,
  start,
}: {
  readonly name: string;
  readonly entry: TensorEntry;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly coding: Coding;
  readonly start: TensorShapes;
}): string | undefined {
  const scaled = scaledName(name);
  if (scaled !== undefined) {
    const dtype = tensors.get(scaled)?.dtype;
    return dtype === coding ? undefined : `holds scales of ${dtype ?? "no"} tensor; expected one of ${coding}`;
  }
  if (!start.has(name)) {
    // A start that the coordinator does not have leaves nothing to add a difference to.
    return entry.dtype === "F32" ? undefined : `is ${entry.dtype}; expected F32, for the round's start lacks it`;
  }
  if (entry.dtype !== coding) return `is ${entry.dtype}; expected ${coding}, as the task asked`;
  const scales = tensors.get(scalesName(name));
  if (scales === undefined) return "has no scales";
  const count = scaleCount(coding, sizeOf(entry.shape));
  if (scales.dtype === "F32" && scales.shape.length === 1 && scales.shape[0] === count) return undefined;
  return `has scales of ${scales.dtype} [${scales.shape.join(", ")}]; expected F32 [${count}]`;
}

interface CodedBlob {
  readonly blobs: Pick<Blobs, "range">;
  readonly ref: BlobRef;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly start: TensorSource;
  readonly source: string;
}

class CodedTensors implements TensorSource {
  constructor(
    private readonly blob: CodedBlob,
    readonly shapes: TensorShapes,
  ) {}

  async read(name: string, from: number, into: Float32Array): Promise<void> {
    if (into.length === 0) return;
    const { start, tensors } = this.blob;
    const entry = tensors.get(name);
    if (entry === undefined || !this.shapes.has(name) || from + into.length > sizeOf(entry.shape)) {
      throw new KindredError("internal", `the update holds no ${into.length} values of ${shown(name)} from ${from}`);
    }
    if (entry.dtype === "F32") return this.floats(entry, from, into);
    const coding = entry.dtype as Coding;
    const block = blockOf(coding, sizeOf(entry.shape));
    const firstBlock = Math.floor(from / block);
    const scales = new Float32Array(Math.floor((from + into.length - 1) / block) - firstBlock + 1);
    await this.floats(tensors.get(scalesName(name)) as TensorEntry, firstBlock, scales);
    const bad = scales.findIndex((scale) => !(Number.isFinite(scale) && scale >= 0));
    if (bad >= 0) {
      const message = `${this.blob.source}: tensor ${shown(scalesName(name))} holds ${scales[bad]} at element ${firstBlock + bad}; expected finite numbers of at least 0`;
      throw new KindredError("invalid_message", message, { tensor: name });
    }
    const codes = codesAsFloats(await this.codes(entry, coding, from, into.length));
    await start.read(name, from, into);
    for (let i = 0; i < into.length; i++) {
      // Rounded as the client rounds it, which carries over what that takes away.
      const difference = Math.fround(
        (codes[i] as number) * (scales[Math.floor((from + i) / block) - firstBlock] as number),
      );
      into[i] = (into[i] as number) + difference;
    }
  }

  private async codes(
    entry: TensorEntry,
    coding: Coding,
    from: number,
    count: number,
  ): Promise<Int8Array | Uint16Array> {
    const width = coding === "I8" ? 1 : 2;
    const { blobs, ref } = this.blob;
    const bytes = new Uint8Array(await blobs.range(ref, entry.offset + from * width, count * width));
    return coding === "I8" ? new Int8Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  }

  private async floats(entry: TensorEntry, from: number, into: Float32Array): Promise<void> {
    const { blobs, ref } = this.blob;
    const bytes = await blobs.range(ref, entry.offset + from * 4, into.length * 4);
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
  }
}
