/**
 * Reads and writes the safetensors format, as files and as blobs in memory: a header (safetensors-header.ts), then the tensors' bytes.
 * It knows neither models nor adapters.
 *
 * Files and blobs are hostile until parsed: the header is checked against the number of bytes before memory for a tensor is
 * allocated.
 *
 * Numbers are little-endian in the format and are not converted: big-endian hosts are not supported (nor by onnxruntime).
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { writeAtomically } from "../base/atomic.js";
import { type ErrorCode, KindredError } from "../base/errors.js";
import { reasonOf } from "../base/json.js";
import { type FloatTensor, type NamedTensors, sizeOf } from "../base/tensors.js";
import { bf16FromFloats, f16FromFloats, floatsFromBF16, floatsFromF16 } from "./half-precision.js";
import {
  BITS,
  type Fail,
  failer,
  headerLength,
  isCount,
  MAX_HEADER_BYTES,
  parseHeader,
  type SafetensorsDtype,
  type SafetensorsHeader,
  shown,
  type TensorEntry,
} from "./safetensors-header.js";

export type { SafetensorsDtype, TensorEntry } from "./safetensors-header.js";

/** Bytes of one read: Node refuses single reads of 2 GiB and more. */
const READ_CHUNK_BYTES = 256 * 1024 * 1024;

export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  /** Size of the whole file. */
  readonly byteLength: number;
  /** Code of the errors that later reads throw. */
  readonly code: ErrorCode;
}

export interface ReadOptions {
  /** Code of the errors: a base model's file, an adapter's, a message's. @default "invalid_model" for files */
  readonly code?: ErrorCode;
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

/** Runs `use` on the opened file. Errors of the file system become errors that name the path. */
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
 * Reads and checks a file's header. Reads no tensor.
 * @throws {KindredError} `options.code` where the file is missing or truncated, or its sizes are wrong
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
  // Opening a named pipe would block.
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

/** Reads a whole range of bytes of one file or blob. */
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
): Promise<SafetensorsHeader> {
  const fail = failer(options.code ?? "invalid_message", options.source ?? "safetensors bytes");
  const length = headerLength(await read(0, Math.min(8, total)), total, fail);
  return parseHeader(await read(8, length), total, fail);
}

/** Bytes per element of the dtypes whose values are read as float32; undefined for others. */
export function floatWidth(dtype: SafetensorsDtype): 2 | 4 | undefined {
  return dtype === "F32" ? 4 : dtype === "F16" || dtype === "BF16" ? 2 : undefined;
}

/** Little-endian bytes as float32; undefined for any dtype but F32, F16 and BF16. */
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
  return fail(`tensor ${shown(name)} is ${dtype}; ${wanted} can be read; save the tensor as F32`, {
    tensor: name,
    dtype,
  });
}

/** The bytes of one tensor in the file. */
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
  /** Name of the bytes, for messages: "the update of client a". @default "safetensors bytes" */
  readonly source?: string;
}

/**
 * Parses a blob, for instance from the network. Tensors are copied out as float32 in the order of their bytes: at most
 * twice the blob's size is allocated (F16 and BF16). Values are not checked: NaN and infinities pass.
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
  /** Order of the tensors: as given, or by name (UTF-16 code units). @default "given" */
  readonly order?: "given" | "name";
}

/**
 * The bytes before the data: the header's length and the header, padded so that the data starts at a multiple of 8.
 * @param tensors names and shapes in the order of their bytes
 */
export function safetensorsHeader(
  tensors: Iterable<readonly [string, { readonly shape: readonly number[] }]>,
  options: Pick<EncodeOptions, "metadata"> & {
    /** The same for all tensors, or by name. @default "F32" */
    readonly dtype?: SafetensorsDtype | ((name: string) => SafetensorsDtype);
  } = {},
): Buffer {
  const given = options.dtype ?? "F32";
  const dtypeOf = typeof given === "function" ? given : () => given;
  // Not by JSON.stringify of an object, which would move names such as "0" to the front.
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
    const dtype = dtypeOf(name);
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
 * Encodes tensors. Equal tensors, order and metadata give equal bytes. The data starts at a multiple of 8.
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

/** Encodes tensors and writes them to a file atomically. */
export async function writeSafetensors(path: string, tensors: NamedTensors, options: EncodeOptions = {}) {
  await writeAtomically(path, encodeSafetensors(tensors, options));
}
