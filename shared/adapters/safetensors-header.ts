/**
 * The header of the safetensors format: 8 bytes of its length (uint64, little-endian), then a JSON object that says dtype, shape and
 * bytes of each tensor. Headers are hostile until parsed: every number is checked against the number of bytes in the file, with the
 * rules of the reference implementation. Tensors cover the data without gap or overlap, names are unique, and the header is an object
 * that starts at its first byte.
 */
import { type ErrorCode, type Facts, KindredError } from "../base/errors.js";
import { isObject, LFS_POINTER, LFS_PROBLEM } from "../base/json.js";

/** Bits per element, for every dtype of the format. */
export const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type SafetensorsDtype = keyof typeof BITS;

/** Far above any real model's header (Llama 405B: under 200 KB), small enough that a crafted file cannot exhaust memory. */
export const MAX_HEADER_BYTES = 25_000_000;

/** Type and location of a tensor. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** From the start of the file (or blob), bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Throws an error that names the source. */
export type Fail = (problem: string, facts?: Facts, cause?: unknown) => never;

export function failer(code: ErrorCode, source: string): Fail {
  return (problem, facts = {}, cause) => {
    throw new KindredError(code, `${source}: ${problem}`, { file: source, ...facts }, cause);
  };
}

/** A name from the file for a message: quoted, and truncated so that a hostile name cannot flood a terminal. */
export function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}

/** Whether a value is an integer from 0. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Bytes of a tensor; undefined where they overflow, or are not whole bytes. */
function byteLengthOf(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let elements = 1;
  for (const dim of shape) {
    elements *= dim;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const bits = elements * BITS[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

/** The first key that occurs twice in an object's JSON text. @param text valid JSON of an object */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  let key = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      const start = i++;
      while (text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
      if (depth === 1 && key) {
        const name = JSON.parse(text.slice(start, i + 1)) as string;
        if (seen.has(name)) return name;
        seen.add(name);
        key = false;
      }
    } else if (c === 0x7b || c === 0x5b) {
      depth++;
      if (depth === 1) key = true;
    } else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x2c && depth === 1) key = true;
  }
  return undefined;
}

/** Length of the JSON header, from the first 8 bytes. @param total bytes of the whole file */
export function headerLength(start: Uint8Array, total: number, fail: Fail): number {
  if (total < 8 || start.byteLength < 8)
    return fail(`${total} bytes are too few for a safetensors file (truncated, or another format)`, { bytes: total });
  const first = Buffer.from(start.buffer, start.byteOffset, 8);
  if (first.toString("latin1") === LFS_POINTER.slice(0, 8)) return fail(LFS_PROBLEM);
  const length = first.readBigUInt64LE();
  if (length > BigInt(MAX_HEADER_BYTES))
    return fail(
      `the header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are accepted (not a safetensors file, or damaged)`,
      { headerBytes: String(length) },
    );
  const bytes = Number(length);
  if (8 + bytes > total)
    return fail(`the header claims ${bytes} bytes, but the file ends ${total - 8} bytes after it starts (truncated?)`, {
      headerBytes: bytes,
      bytes: total,
    });
  return bytes;
}

/** Parses and checks a header. @param header its bytes, padding included. @param total bytes of the whole file */
export function parseHeader(header: Uint8Array, total: number, fail: Fail): SafetensorsHeader {
  if (header[0] !== 0x7b) return fail("the header does not start with { (not a safetensors file, or damaged)");
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    parsed = JSON.parse(text);
  } catch (error) {
    return fail("the header is not valid JSON", {}, error);
  }
  if (!isObject(parsed)) return fail("the header is not a JSON object");
  const repeated = repeatedKey(text);
  if (repeated !== undefined) return fail(`tensor ${shown(repeated)} appears twice`, { tensor: repeated });

  const metadata = new Map<string, string>();
  const dataStart = 8 + header.byteLength;
  const dataBytes = total - dataStart;
  const entries: [string, TensorEntry][] = [];
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === "__metadata__") {
      if (entry === null) continue;
      if (!isObject(entry)) return fail("__metadata__ is not an object");
      for (const [key, value] of Object.entries(entry)) {
        if (typeof value !== "string") return fail(`__metadata__ ${shown(key)} is not a string`);
        metadata.set(key, value);
      }
      continue;
    }
    const facts = { tensor: name };
    if (!isObject(entry)) return fail(`tensor ${shown(name)} is not described by an object`, facts);
    const { dtype, shape, data_offsets: range } = entry;
    if (typeof dtype !== "string" || !Object.hasOwn(BITS, dtype))
      return fail(`tensor ${shown(name)} has an unknown dtype ${shown(String(dtype))}`, facts);
    if (!Array.isArray(shape) || !shape.every(isCount))
      return fail(`tensor ${shown(name)}: its shape is not a list of counts`, facts);
    if (!Array.isArray(range) || range.length !== 2 || !isCount(range[0]) || !isCount(range[1]) || range[1] < range[0])
      return fail(`tensor ${shown(name)}: its data_offsets are not two ascending byte offsets`, facts);
    const [begin, end] = range as [number, number];
    if (end > dataBytes)
      return fail(
        `tensor ${shown(name)} ends at byte ${end} of the data, but only ${dataBytes} are there (truncated file?)`,
        { ...facts, end, dataBytes },
      );
    const width = byteLengthOf(dtype as SafetensorsDtype, shape);
    if (width !== end - begin)
      return fail(
        `tensor ${shown(name)}: ${dtype} of shape [${shape.slice(0, 16).join(", ")}] needs ${width ?? "too many"} bytes, ` +
          `its data_offsets give ${end - begin}`,
        { ...facts, expected: width, actual: end - begin },
      );
    entries.push([
      name,
      { dtype: dtype as SafetensorsDtype, shape: [...shape], offset: dataStart + begin, byteLength: width },
    ]);
  }

  // An empty tensor starts where its successor starts: the shorter tensor goes first.
  entries.sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let next = dataStart;
  for (const [name, { offset, byteLength }] of entries) {
    if (offset !== next)
      return fail(
        `tensor ${shown(name)} starts at byte ${offset - dataStart} of the data, ` +
          `${offset < next ? "inside the one before it" : "after a gap"} that ends at ${next - dataStart}`,
        { tensor: name, offset: offset - dataStart, expected: next - dataStart },
      );
    next = offset + byteLength;
  }
  if (next !== total)
    return fail(`${total - next} bytes after the last tensor belong to no tensor`, { bytes: total, used: next });
  return { tensors: new Map(entries), metadata };
}
