/**
 * The safetensors format: 8 bytes of header length (uint64, little-endian), a JSON header, the tensors' bytes. Reads and
 * writes files and in-memory blobs. It knows neither models nor adapters: names are just names.
 *
 * Both files and blobs are hostile until parsed. Every number of the header is checked against the bytes that are really
 * there before anything of its size is allocated, with the rules of the reference implementation: tensors cover the data
 * without gap or overlap, names are unique, the header is an object that starts at its first byte.
 *
 * Words are little-endian in the format and taken as such: big-endian hosts are not supported (nor by onnxruntime).
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { writeAtomically } from "../base/atomic.js";
import { type ErrorCode, type Facts, KindredError } from "../base/errors.js";
import { isObject, reasonOf } from "../base/json.js";
import { type FloatTensor, type NamedTensors, sizeOf } from "../base/tensors.js";
import { bf16FromFloats, f16FromFloats, floatsFromBF16, floatsFromF16 } from "./halves.js";

/** Bits an element, for every dtype the format has. */
const BITS = {
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
const MAX_HEADER_BYTES = 25_000_000;

/** One read at most: Node refuses single reads of 2 GiB and more. */
const READ_CHUNK_BYTES = 256 * 1024 * 1024;

/** Where a tensor is and what it is; the bytes are not read yet. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** From the start of the file (or blob), bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsFile {
  readonly path: string;
  /** Size of the whole file. */
  readonly byteLength: number;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Code of the errors that later reads throw. */
  readonly code: ErrorCode;
}

export interface ReadOptions {
  /** Code of the errors: a base model's file, an adapter's, a message's. @default "invalid_model" for files */
  readonly code?: ErrorCode;
}

/** Says what is wrong with which source. Never returns. */
type Fail = (problem: string, facts?: Facts, cause?: unknown) => never;

function failer(code: ErrorCode, source: string): Fail {
  return (problem, facts = {}, cause) => {
    throw new KindredError(code, `${source}: ${problem}`, { file: source, ...facts }, cause);
  };
}

/** Names come from the file: quoted, and cut so that a hostile one cannot flood a terminal. */
function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Bytes of a tensor, or undefined where they overflow or do not fill whole bytes. */
function byteLengthOf(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  let elements = 1;
  for (const dim of shape) {
    elements *= dim;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const bits = elements * BITS[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

/** The first key that an object's JSON text has twice. @param text valid JSON of an object */
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
function headerLength(start: Uint8Array, total: number, fail: Fail): number {
  if (total < 8 || start.byteLength < 8)
    return fail(`${total} bytes are too few for a safetensors file (truncated, or another format)`, { bytes: total });
  const length = Buffer.from(start.buffer, start.byteOffset, 8).readBigUInt64LE();
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

/** @param header its bytes, padding included. @param total bytes of the whole file */
function parseHeader(header: Uint8Array, total: number, fail: Fail): Pick<SafetensorsFile, "tensors" | "metadata"> {
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
  if (repeated !== undefined) return fail(`tensor ${shown(repeated)} is there twice`, { tensor: repeated });

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

  // An empty tensor sits where its successor starts: the shorter one goes first.
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
    return fail(`${total - next} bytes after the last tensor belong to none`, { bytes: total, used: next });
  return { tensors: new Map(entries), metadata };
}

/** Fills `target` from a file. */
async function readFully(handle: FileHandle, target: Uint8Array, offset: number, fail: Fail): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(READ_CHUNK_BYTES, target.byteLength - done);
    const { bytesRead } = await handle.read(target, done, length, offset + done);
    if (bytesRead === 0)
      return fail(`ends at byte ${offset + done}; ${target.byteLength - done} more were expected (truncated?)`, {
        end: offset + done,
      });
    done += bytesRead;
  }
}

/** Runs `use` on the opened file; what the file system says becomes an error that names the path. */
async function withFile<T>(path: string, fail: Fail, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    return await use(handle);
  } catch (error) {
    if (error instanceof KindredError) throw error;
    return fail(`cannot be read (${reasonOf(error)})`, {}, error);
  } finally {
    await handle?.close();
  }
}

/**
 * Reads and checks a file's header: where each tensor is. Reads no tensor.
 * @throws {KindredError} `options.code` where the file is missing, truncated or lies about sizes
 */
export async function readSafetensorsHeader(path: string, options: ReadOptions = {}): Promise<SafetensorsFile> {
  const code = options.code ?? "invalid_model";
  const fail = failer(code, path);
  let isFile: boolean;
  try {
    isFile = (await stat(path)).isFile();
  } catch (error) {
    return fail(`cannot be read (${reasonOf(error)})`, {}, error);
  }
  // Opening a named pipe would wait for ever.
  if (!isFile) return fail("is not a file");
  return withFile(path, fail, async (handle) => {
    const byteLength = (await handle.stat()).size;
    const start = new Uint8Array(Math.min(8, byteLength));
    await readFully(handle, start, 0, fail);
    const header = new Uint8Array(headerLength(start, byteLength, fail));
    await readFully(handle, header, 8, fail);
    return { path, byteLength, code, ...parseHeader(header, byteLength, fail) };
  });
}

function entryOf(file: SafetensorsFile, name: string, fail: Fail): TensorEntry {
  const entry = file.tensors.get(name);
  return entry ?? fail(`has no tensor ${shown(name)}`, { tensor: name });
}

/** Answers a range of bytes of one file or blob, whole. */
export type RangeReader = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * Reads and checks the header of bytes that are read in ranges, a stored blob for instance. Reads no tensor.
 * @param total bytes of the whole file or blob
 * @throws {KindredError} `options.code` (default `invalid_message`) where the bytes do not hold what they claim
 */
export async function readSafetensorsRanges(
  read: RangeReader,
  total: number,
  options: ParseOptions = {},
): Promise<Pick<SafetensorsFile, "tensors" | "metadata">> {
  const fail = failer(options.code ?? "invalid_message", options.source ?? "safetensors bytes");
  const length = headerLength(await read(0, Math.min(8, total)), total, fail);
  return parseHeader(await read(8, length), total, fail);
}

/** Bytes per element of the dtypes whose values are read as float32; undefined for others. */
export function floatWidth(dtype: SafetensorsDtype): 2 | 4 | undefined {
  return dtype === "F32" ? 4 : dtype === "F16" || dtype === "BF16" ? 2 : undefined;
}

/** Little-endian bytes as float32, or undefined where the dtype is not a float of 32 bits or fewer that we read. */
export function toFloats(dtype: SafetensorsDtype, bytes: Uint8Array<ArrayBuffer>): Float32Array | undefined {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    case "F16":
      return floatsFromF16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    case "BF16":
      return floatsFromBF16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    default:
      return undefined;
  }
}

function refuseDtype(name: string, dtype: SafetensorsDtype, wanted: string, fail: Fail): never {
  return fail(`tensor ${shown(name)} is ${dtype}; ${wanted} can be read`, { tensor: name, dtype });
}

/** The bytes of one tensor as they are in the file. */
export async function readTensorBytes(file: SafetensorsFile, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const fail = failer(file.code, file.path);
  const { offset, byteLength } = entryOf(file, name, fail);
  const bytes = new Uint8Array(byteLength);
  await withFile(file.path, fail, (handle) => readFully(handle, bytes, offset, fail));
  return bytes;
}

/**
 * One tensor's values, row-major. F16 and BF16 widen exactly.
 * @throws {KindredError} the file's code where the tensor is missing, truncated or not F32, F16 or BF16
 */
export async function readTensor(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const fail = failer(file.code, file.path);
  const { dtype } = entryOf(file, name, fail);
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") refuseDtype(name, dtype, "F32, F16 and BF16", fail);
  return toFloats(dtype, await readTensorBytes(file, name))!;
}

/** Every tensor of a file as float32. */
export async function readTensors(file: SafetensorsFile): Promise<NamedTensors> {
  const tensors = new Map<string, FloatTensor>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await readTensor(file, name) });
  return tensors;
}

/**
 * One tensor of whole numbers or booleans, row-major.
 * @throws {KindredError} the file's code where it is of another dtype or a value does not fit into 32 bits
 */
export async function readIntTensor(file: SafetensorsFile, name: string): Promise<Int32Array> {
  const fail = failer(file.code, file.path);
  const { dtype } = entryOf(file, name, fail);
  const { buffer } = await readTensorBytes(file, name);
  switch (dtype) {
    case "I32":
      return new Int32Array(buffer);
    case "I16":
      return Int32Array.from(new Int16Array(buffer));
    case "U16":
      return Int32Array.from(new Uint16Array(buffer));
    case "I8":
      return Int32Array.from(new Int8Array(buffer));
    case "U8":
    case "BOOL":
      return Int32Array.from(new Uint8Array(buffer));
    case "I64": {
      const wide = new BigInt64Array(buffer);
      const narrow = new Int32Array(wide.length);
      for (let i = 0; i < wide.length; i++) {
        narrow[i] = Number(wide[i]);
        if (BigInt(narrow[i]!) !== wide[i]) fail(`tensor ${shown(name)}: ${wide[i]} at ${i} does not fit into 32 bits`);
      }
      return narrow;
    }
    default:
      return refuseDtype(name, dtype, "I64, I32, I16, U16, I8, U8 and BOOL", fail);
  }
}

export interface ParseOptions extends ReadOptions {
  /** What the bytes are, for messages: "the update of client a". @default "safetensors bytes" */
  readonly source?: string;
}

/**
 * Parses a blob, for instance from the network. Tensors are copied out as float32 in the order of their bytes: at most
 * twice the blob's size is allocated (F16 and BF16). Values are not looked at: NaN and infinities pass.
 * @throws {KindredError} `options.code` (default `invalid_message`) where the bytes do not hold what they claim
 */
export function parseSafetensors(
  bytes: Uint8Array,
  options: ParseOptions = {},
): { tensors: NamedTensors; metadata: ReadonlyMap<string, string> } {
  const fail = failer(options.code ?? "invalid_message", options.source ?? "safetensors bytes");
  const length = headerLength(bytes.subarray(0, 8), bytes.byteLength, fail);
  const { tensors: entries, metadata } = parseHeader(bytes.subarray(8, 8 + length), bytes.byteLength, fail);
  const tensors = new Map<string, FloatTensor>();
  for (const [name, { dtype, shape, offset, byteLength }] of entries) {
    // Copied, which also aligns: the blob may start at any byte of a larger buffer.
    const data = toFloats(dtype, new Uint8Array(bytes.subarray(offset, offset + byteLength)));
    tensors.set(name, { shape, data: data ?? refuseDtype(name, dtype, "F32, F16 and BF16", fail) });
  }
  return { tensors, metadata };
}

export interface EncodeOptions {
  readonly metadata?: ReadonlyMap<string, string> | Readonly<Record<string, string>>;
  /** Stored width. @default "F32" */
  readonly dtype?: "F32" | "F16" | "BF16";
  /** Order of the tensors: as given, or by name (code points of UTF-16). @default "given" */
  readonly order?: "given" | "name";
}

/**
 * The bytes before the data: the header's length and the header, padded so that the data starts at a multiple of 8.
 * @param tensors names and shapes in the order of their bytes
 */
export function safetensorsHeader(
  tensors: Iterable<readonly [string, { readonly shape: readonly number[] }]>,
  options: Omit<EncodeOptions, "order"> = {},
): Buffer {
  const dtype = options.dtype ?? "F32";
  // Written by hand: an object would move names such as "0" to the front.
  const fields: string[] = [];
  const metadata =
    options.metadata instanceof Map ? [...options.metadata] : Object.entries((options.metadata ?? {}) as object);
  if (metadata.length > 0) {
    metadata.sort(([a], [b]) => (a < b ? -1 : 1));
    const pairs = metadata.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(String(value))}`);
    fields.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  let dataBytes = 0;
  for (const [name, { shape }] of tensors) {
    const end = dataBytes + (sizeOf(shape) * BITS[dtype]) / 8;
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${dataBytes},${end}]}`,
    );
    dataBytes = end;
  }
  const text = Buffer.from(`{${fields.join(",")}}`, "utf8");
  const header = Buffer.concat([Buffer.alloc(8), text, Buffer.alloc((8 - (text.byteLength % 8)) % 8, 0x20)]);
  const length = header.byteLength - 8;
  if (length > MAX_HEADER_BYTES)
    throw new KindredError("too_large", `a header of ${length} bytes; at most ${MAX_HEADER_BYTES} are read`);
  header.writeBigUInt64LE(BigInt(length), 0);
  return header;
}

/**
 * Encodes tensors; same tensors, order and metadata give the same bytes. The data starts at a multiple of 8.
 * @throws {KindredError} `shape_mismatch` where a shape does not fit its data
 */
export function encodeSafetensors(tensors: NamedTensors, options: EncodeOptions = {}): Uint8Array<ArrayBuffer> {
  const dtype = options.dtype ?? "F32";
  const given = [...tensors];
  if (options.order === "name") given.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  let dataBytes = 0;
  for (const [name, { shape, data }] of given) {
    if (name === "__metadata__" || sizeOf(shape) !== data.length || !shape.every(isCount))
      throw new KindredError(
        "shape_mismatch",
        `tensor ${shown(name)} of shape [${shape.join(", ")}] with ${data.length} values cannot be stored`,
        { tensor: name, values: data.length },
      );
    dataBytes += (data.length * BITS[dtype]) / 8;
  }
  const header = safetensorsHeader(given, options);
  const bytes = new Uint8Array(header.byteLength + dataBytes);
  bytes.set(header);
  let offset = header.byteLength;
  for (const [, { data }] of given) {
    const words = dtype === "F32" ? data : dtype === "F16" ? f16FromFloats(data) : bf16FromFloats(data);
    bytes.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), offset);
    offset += words.byteLength;
  }
  return bytes;
}

/** Encodes and writes a file, whole or not at all. */
export async function writeSafetensors(path: string, tensors: NamedTensors, options: EncodeOptions = {}) {
  await writeAtomically(path, encodeSafetensors(tensors, options));
}
