/**
 * Reads files of the GGUF format, versions 2 and 3 (the ggml project's docs/gguf.md): a header of typed metadata and of tensor infos,
 * then the tensors' bytes. It knows no architecture.
 *
 * Files are hostile until parsed. The header is read in pieces of doubling size, and every count and length is checked against the
 * remaining bytes before memory is allocated.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { type ErrorCode, type Facts, KindredError } from "../base/errors.js";
import { reasonOf } from "../base/json.js";
import { byteLengthOf, dequantize, type GgufType, TYPES } from "./gguf-blocks.js";

export type { GgufType } from "./gguf-blocks.js";

/** ggml's numbers of types. Types that are not in TYPES are refused by name. */
const TYPE_NUMBERS: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  30: "BF16",
};

/** Values of metadata. 64-bit integers that are not exact in a double are refused; arrays of numbers keep their width. */
export type GgufValue = number | boolean | string | readonly string[] | NumberArray;

type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** Type and location of a tensor. */
export interface GgufTensor {
  readonly dtype: GgufType;
  /** Row-major: the reverse of ggml's order. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufFile {
  readonly path: string;
  /** Size of the whole file. */
  readonly byteLength: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Above any real header (a vocabulary of 256,000 tokens with merges takes 20 MB), small enough that a hostile file cannot exhaust memory. */
const MAX_HEADER_BYTES = 200_000_000;
/** The first read: most headers are smaller. */
const FIRST_READ_BYTES = 8 * 1024 * 1024;
/** Real files have under 100 fields and under 10,000 tensors. */
const MAX_FIELDS = 65_536;
const MAX_TENSORS = 262_144;
/** Far above any vocabulary: an empty text takes 8 bytes of the file and several times that in memory. */
const MAX_ENTRIES = 16_777_216;
/** ggml's limit. */
const MAX_DIMS = 4;

/** Thrown where the header continues after the bytes that were read. */
class MoreBytesNeeded extends Error {}

type Fail = (problem: string, facts?: Facts, code?: ErrorCode) => never;

function failer(path: string): Fail {
  return (problem, facts = {}, code = "invalid_model") => {
    throw new KindredError(code, `${path}: ${problem}`, { file: path, ...facts });
  };
}

/** A name from the file for a message: quoted, and truncated so that a hostile name cannot flood a terminal. */
function shown(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}

/** Types of metadata whose values are numbers of fixed width, by the format's number of the type. */
const NUMBERS: Readonly<
  Record<
    number,
    {
      readonly bytes: number;
      readonly read: (view: DataView, at: number) => number;
      readonly array: (n: number) => NumberArray;
    }
  >
> = {
  0: { bytes: 1, read: (view, at) => view.getUint8(at), array: (n) => new Uint8Array(n) },
  1: { bytes: 1, read: (view, at) => view.getInt8(at), array: (n) => new Int8Array(n) },
  2: { bytes: 2, read: (view, at) => view.getUint16(at, true), array: (n) => new Uint16Array(n) },
  3: { bytes: 2, read: (view, at) => view.getInt16(at, true), array: (n) => new Int16Array(n) },
  4: { bytes: 4, read: (view, at) => view.getUint32(at, true), array: (n) => new Uint32Array(n) },
  5: { bytes: 4, read: (view, at) => view.getInt32(at, true), array: (n) => new Int32Array(n) },
  6: { bytes: 4, read: (view, at) => view.getFloat32(at, true), array: (n) => new Float32Array(n) },
  7: { bytes: 1, read: (view, at) => view.getUint8(at), array: (n) => new Uint8Array(n) },
  10: { bytes: 8, read: (view, at) => Number(view.getBigUint64(at, true)), array: (n) => new Float64Array(n) },
  11: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)), array: (n) => new Float64Array(n) },
  12: { bytes: 8, read: (view, at) => view.getFloat64(at, true), array: (n) => new Float64Array(n) },
};
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const WIDE_INTEGERS: readonly number[] = [10, 11];

/** Reads the header's parts in order. */
class Cursor {
  at = 0;
  private readonly view: DataView;
  private readonly text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  /** @param limit largest size of the header in bytes: the file's size, or the bound */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly limit: number,
    private readonly fail: Fail,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Advances by `length` bytes. @returns where they start */
  private take(length: number, what: string): number {
    const start = this.at;
    if (length > this.limit - start) {
      return this.fail(`${what} goes beyond the end of the file or the limit of a header (truncated, or damaged)`, {
        at: start,
      });
    }
    if (length > this.bytes.byteLength - start) throw new MoreBytesNeeded();
    this.at += length;
    return start;
  }

  uint32(what: string): number {
    return this.view.getUint32(this.take(4, what), true);
  }

  /** An unsigned 64-bit count. @param each smallest size in the header of one counted item, in bytes */
  count(what: string, each: number, max: number): number {
    const count = this.view.getBigUint64(this.take(8, what), true);
    const room = each === 0 ? max : Math.min(max, Math.floor((this.limit - this.at) / each));
    if (count > BigInt(room)) return this.fail(`${what} is ${count}; at most ${room} are possible here (damaged?)`);
    return Number(count);
  }

  string(what: string): string {
    const length = this.count(`the length of ${what}`, 1, MAX_HEADER_BYTES);
    const start = this.take(length, what);
    try {
      return this.text.decode(this.bytes.subarray(start, start + length));
    } catch {
      return this.fail(`${what} is not valid UTF-8`);
    }
  }

  value(key: string): GgufValue {
    const type = this.uint32(`the type of ${key}`);
    if (type === STRING) return this.string(key);
    if (type === ARRAY) return this.array(key);
    const value = this.number(type, key);
    if (type !== BOOL) return value;
    return value > 1 ? this.fail(`${key} is ${value}; expected a boolean`) : value === 1;
  }

  private number(type: number, key: string): number {
    const { bytes, read } = NUMBERS[type] ?? this.fail(`${key} has the unknown type ${type}`);
    const value = read(this.view, this.take(bytes, key));
    if (WIDE_INTEGERS.includes(type) && !Number.isSafeInteger(value)) {
      return this.fail(`${key} is ${value}, which is not exact in a double`);
    }
    return value;
  }

  private array(key: string): readonly string[] | NumberArray {
    const type = this.uint32(`the type of ${key}`);
    if (type === STRING) {
      const count = this.count(`the length of ${key}`, 8, MAX_ENTRIES);
      const texts: string[] = [];
      for (let i = 0; i < count; i++) texts.push(this.string(`${key}[${i}]`));
      return texts;
    }
    const { bytes, array } = NUMBERS[type] ?? this.fail(`${key} is an array of the type ${type}, which is not read`);
    const count = this.count(`the length of ${key}`, bytes, MAX_ENTRIES);
    if (count * bytes > this.bytes.byteLength - this.at) throw new MoreBytesNeeded();
    const values = array(count);
    for (let i = 0; i < count; i++) values[i] = this.number(type, key);
    return values;
  }
}

function parseHeader(bytes: Uint8Array, total: number, fail: Fail): Pick<GgufFile, "metadata" | "tensors"> {
  const cursor = new Cursor(bytes, Math.min(total, MAX_HEADER_BYTES), fail);
  if (cursor.uint32("the magic") !== 0x46554747) return fail("does not start with GGUF (another format, or damaged)");
  const version = cursor.uint32("the version");
  if (version > 0 && (version & 0xffff) === 0) {
    return fail("holds big-endian numbers; convert it on a little-endian machine", { version }, "unsupported");
  }
  if (version !== 2 && version !== 3) {
    return fail(`is of GGUF version ${version}; versions 2 and 3 are read`, { version }, "unsupported");
  }
  // A tensor info takes at least 32 bytes, a field 13.
  const tensorCount = cursor.count("the number of tensors", 32, MAX_TENSORS);
  const fieldCount = cursor.count("the number of metadata fields", 13, MAX_FIELDS);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < fieldCount; i++) {
    const key = cursor.string(`the name of metadata field ${i}`);
    if (metadata.has(key)) return fail(`metadata ${shown(key)} appears twice`);
    metadata.set(key, cursor.value(`metadata ${shown(key)}`));
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 8 || alignment > 65_536 || alignment % 8 !== 0) {
    return fail(`general.alignment is ${String(alignment)}; expected a multiple of 8`);
  }
  const infos: [string, Omit<GgufTensor, "byteLength">][] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.string(`the name of tensor ${i}`);
    const dims = cursor.uint32(`tensor ${shown(name)}`);
    if (dims > MAX_DIMS) return fail(`tensor ${shown(name)} has ${dims} dimensions; at most ${MAX_DIMS} are possible`);
    const shape: number[] = [];
    for (let d = 0; d < dims; d++) {
      shape.unshift(cursor.count(`a dimension of tensor ${shown(name)}`, 0, Number.MAX_SAFE_INTEGER));
    }
    const number = cursor.uint32(`tensor ${shown(name)}`);
    const dtype = TYPE_NUMBERS[number] ?? `number ${number}`;
    if (!Object.hasOwn(TYPES, dtype)) {
      return fail(
        `tensor ${shown(name)} is of the type ${dtype}, which is not supported (supported: ${Object.keys(TYPES).join(", ")})`,
        { tensor: name, dtype },
        "unsupported",
      );
    }
    const offset = cursor.count(`the offset of tensor ${shown(name)}`, 0, Number.MAX_SAFE_INTEGER);
    infos.push([name, { dtype: dtype as GgufType, shape, offset }]);
  }

  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  infos.sort(([, a], [, b]) => a.offset - b.offset);
  const tensors = new Map<string, GgufTensor>();
  let end = dataStart;
  for (const [name, { dtype, shape, offset: relative }] of infos) {
    const facts = { tensor: name };
    if (tensors.has(name)) return fail(`tensor ${shown(name)} appears twice`, facts);
    const byteLength = byteLengthOf(dtype, shape);
    if (byteLength === undefined || byteLength === 0) {
      return fail(`tensor ${shown(name)}: ${dtype} cannot have the shape [${shape.join(", ")}]`, facts);
    }
    const offset = dataStart + relative;
    if (relative % alignment !== 0 || offset < end) {
      return fail(`tensor ${shown(name)} starts at byte ${relative} of the data, inside another or not aligned`, facts);
    }
    end = offset + byteLength;
    if (end > total) {
      return fail(`tensor ${shown(name)} ends at byte ${end}, but the file has ${total} (truncated?)`, facts);
    }
    tensors.set(name, { dtype, shape, offset, byteLength });
  }
  return { metadata, tensors };
}

/**
 * Reads and checks a file's header. Reads no tensor.
 * @throws {KindredError} `invalid_model` where the file is missing or truncated, or its sizes are wrong; `unsupported` for
 *   another version or type of tensors
 */
export async function readGgufHeader(path: string): Promise<GgufFile> {
  const fail = failer(path);
  return await withFile(path, async (handle) => {
    const byteLength = (await handle.stat()).size;
    const most = Math.min(byteLength, MAX_HEADER_BYTES);
    for (let length = Math.min(most, FIRST_READ_BYTES); ; length = Math.min(most, 2 * length)) {
      const bytes = await readRange(handle, 0, length, fail);
      try {
        return { path, byteLength, ...parseHeader(bytes, byteLength, fail) };
      } catch (error) {
        // At `most`, every length was checked against the file's size, so this ends.
        if (!(error instanceof MoreBytesNeeded) || length === most) throw error;
      }
    }
  });
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const fail = failer(path);
  let handle: FileHandle | undefined;
  try {
    // Opening a named pipe would block.
    if (!(await stat(path)).isFile()) return fail("is not a file");
    handle = await open(path, "r");
    return await use(handle);
  } catch (error) {
    if (error instanceof KindredError || error instanceof MoreBytesNeeded) throw error;
    throw new KindredError("invalid_model", `${path}: cannot be read (${reasonOf(error)})`, { file: path }, error);
  } finally {
    await handle?.close();
  }
}

async function readRange(
  handle: FileHandle,
  start: number,
  length: number,
  fail: Fail,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    // Node refuses single reads of 2 GiB and more.
    const part = Math.min(length - done, 1 << 28);
    const { bytesRead } = await handle.read(bytes, done, part, start + done);
    if (bytesRead === 0) return fail(`ends at byte ${start + done}; ${length - done} more were expected (truncated?)`);
    done += bytesRead;
  }
  return bytes;
}

/** A tensor's bytes in the file. @throws {KindredError} `invalid_model` where it is missing or truncated */
export async function readGgufBytes(file: GgufFile, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const fail = failer(file.path);
  const { offset, byteLength } = file.tensors.get(name) ?? fail(`has no tensor ${shown(name)}`, { tensor: name });
  return await withFile(file.path, (handle) => readRange(handle, offset, byteLength, fail));
}

/** A tensor's values as float32, row-major; blocks are dequantised. @throws {KindredError} as `readGgufBytes` */
export async function readGgufTensor(file: GgufFile, name: string): Promise<Float32Array> {
  const bytes = await readGgufBytes(file, name);
  return dequantize(file.tensors.get(name)!.dtype, bytes);
}
