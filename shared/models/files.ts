/**
 * Opens a model's folder in Hugging Face's format (config.json, and model.safetensors or shards named by
 * model.safetensors.index.json), or one GGUF file with equivalent names. Gives the location of each tensor and the base model's hash.
 * It knows no architecture: client/models interprets fields and tensors.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, readdir, readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import {
  readSafetensorsHeader,
  readTensor,
  readTensorBytes,
  type SafetensorsDtype,
  type SafetensorsFile,
} from "../adapters/safetensors.js";
import { writeAtomically } from "../base/atomic.js";
import { KindredError } from "../base/errors.js";
import { brief, canonicalJson, isObject, readJsonObject, reasonOf } from "../base/json.js";
import { packGgmlBlocks } from "../quantization/int4.js";
import type { Quantization } from "../quantization/layout.js";
import { influentialConfig } from "./config-fields.js";
import { type GgufFile, type GgufType, readGgufBytes, readGgufHeader, readGgufTensor } from "./gguf.js";
import { deinterleaved, type GgufModel, ggufModel, ROPE_FACTORS } from "./gguf-names.js";

/** Real files are under 100 KB. */
const MAX_CONFIG_BYTES = 4_000_000;
/** Enough for 200,000 tensors at about 100 bytes per tensor. */
const MAX_INDEX_BYTES = 25_000_000;

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Bytes that are hashed before the event loop runs again: a few milliseconds. */
const HASH_CHUNK_BYTES = 4 * 1024 * 1024;

/** A tensor and the location of its bytes. */
export interface ModelTensor {
  /** Absolute path of the file that holds it. */
  readonly file: string;
  readonly dtype: SafetensorsDtype | GgufType;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A GGUF file with Hugging Face's names of its parts. */
export interface OpenedGguf extends GgufModel {
  readonly file: GgufFile;
}

export interface ModelFolder {
  /** Absolute path of the folder or the GGUF file. */
  readonly path: string;
  /** The file that holds the configuration, for messages. */
  readonly configPath: string;
  /** The object of config.json, or the equivalent from a GGUF's metadata. */
  readonly config: Readonly<Record<string, unknown>>;
  /** By Hugging Face's names. */
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  /** The opened headers of safetensors, by absolute path. */
  readonly files: ReadonlyMap<string, SafetensorsFile>;
  /** Present where the model is a GGUF file. */
  readonly gguf?: OpenedGguf;
}

function invalid(message: string, facts: Record<string, string | number> = {}, cause?: unknown): KindredError {
  return new KindredError("invalid_model", message, facts, cause);
}

/** The error for a folder without safetensors. */
function missingWeights(path: string, names: readonly string[]): KindredError {
  const pickle = names.find((name) => /^(pytorch_model|consolidated).*\.(bin|pth?)$/.test(name));
  if (pickle !== undefined)
    return new KindredError(
      "unsupported",
      `${path}: its weights are a pickle (${pickle}), which can run code when loaded; convert it with ` +
        `python -c "from transformers import AutoModelForCausalLM as M; ` +
        `M.from_pretrained('${path}').save_pretrained('${path}-safetensors')" and copy the tokenizer's files there`,
      { file: pickle },
    );
  return invalid(`${path}: no weights; looked for ${SINGLE} and ${INDEX}`, { folder: path });
}

/** Names in a folder. @throws {KindredError} that says what the path is, where it is no folder */
async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") {
      throw invalid(
        `${path}: is a file; a model is a folder with config.json, ${SINGLE} and tokenizer.json, or a .gguf file`,
      );
    }
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      throw new KindredError("not_found", `${path}: no such folder`, { folder: path }, error);
    throw invalid(`${path}: cannot be read (${reasonOf(error)})`, { folder: path }, error);
  }
}

/**
 * Tensor name -> name of its shard, a file in the index's folder.
 * @throws {KindredError} `invalid_model` naming the tensor whose shard is not a plain file name
 */
export async function readShardIndex(path: string): Promise<Map<string, string>> {
  const { weight_map: map } = await readJsonObject(path, { maxBytes: MAX_INDEX_BYTES, code: "invalid_model" });
  if (!isObject(map)) throw invalid(`${path}: weight_map is not an object`, { file: path });
  const shards = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // A path would permit a hostile index to read any file of this machine.
    if (typeof shard !== "string" || !/^[\w][\w.-]*\.safetensors$/.test(shard))
      throw invalid(
        `${path}: tensor ${brief(name)} is said to be in ${brief(shard)}, ` +
          `which is not the name of a safetensors file in the folder`,
        { file: path, tensor: name },
      );
    shards.set(name, shard);
  }
  if (shards.size === 0) throw invalid(`${path}: weight_map is empty`, { file: path });
  return shards;
}

/** Opens a GGUF file as a model. */
async function openGguf(path: string): Promise<ModelFolder> {
  const file = await readGgufHeader(path);
  const factors = file.tensors.has(ROPE_FACTORS) ? await readGgufTensor(file, ROPE_FACTORS) : undefined;
  const { config, weights } = ggufModel(file, factors);
  const tensors = new Map<string, ModelTensor>();
  for (const [name, weight] of weights) {
    const { dtype, shape, offset, byteLength } = file.tensors.get(weight.name)!;
    if (weight.interleaved !== undefined && shape[0]! % (2 * weight.interleaved) !== 0) {
      throw invalid(
        `${path}: tensor ${weight.name} has ${shape[0]} rows, which ${weight.interleaved} heads do not divide`,
      );
    }
    tensors.set(name, { file: path, dtype, shape, offset, byteLength });
  }
  return { path, configPath: path, config, tensors, files: new Map(), gguf: { file, config, weights } };
}

/**
 * Reads a model's configuration and the locations of its tensors. Reads no tensor.
 * @param folder a folder in Hugging Face's format, a GGUF file, or a folder that holds one GGUF file and no config.json
 * @throws {KindredError} `not_found`, `invalid_model` or `unsupported` (pickles, quantised safetensors), naming the
 *   file and the problem
 */
export async function openModelFolder(folder: string): Promise<ModelFolder> {
  const path = resolve(folder);
  if (path.endsWith(".gguf") && (await isFile(path))) return await openGguf(path);
  const names = await listFolder(path);
  if (!names.includes("config.json")) {
    if (names.includes("adapter_config.json"))
      throw invalid(`${path}: is a PEFT adapter, not a model (adapter_config.json is there, config.json is not)`);
    const ggufs = names.filter((name) => name.endsWith(".gguf"));
    if (ggufs.length > 1) {
      throw invalid(`${path}: holds ${ggufs.length} GGUF files (${ggufs.slice(0, 4).join(", ")}); name one of them`);
    }
    if (ggufs[0] !== undefined) return await openGguf(join(path, ggufs[0]));
    const revisions = names.includes("snapshots") ? `; name a revision's folder in ${join(path, "snapshots")}` : "";
    throw invalid(
      `${path}: is not a model's folder; looked for config.json, ${SINGLE} or ${INDEX}, and tokenizer.json${revisions}`,
      { folder: path },
    );
  }
  const configPath = join(path, "config.json");
  const config = await readJsonObject(configPath, { maxBytes: MAX_CONFIG_BYTES, code: "invalid_model" });
  if (typeof config.model_type !== "string")
    throw invalid(`${configPath}: model_type is missing; it names the model's family`, { file: configPath });
  if (isObject(config.quantization_config)) {
    const method = String(config.quantization_config.quant_method ?? "unknown");
    throw new KindredError(
      "unsupported",
      `${configPath}: the weights are quantised (quantization_config.quant_method ${method}); give the unquantised model`,
      { file: configPath, method },
    );
  }

  const files = new Map<string, SafetensorsFile>();
  const tensors = new Map<string, ModelTensor>();
  if (names.includes(SINGLE)) {
    const file = await readSafetensorsHeader(join(path, SINGLE));
    files.set(file.path, file);
    for (const [name, entry] of file.tensors) tensors.set(name, { ...entry, file: file.path });
  } else if (names.includes(INDEX)) {
    const indexPath = join(path, INDEX);
    const shards = await readShardIndex(indexPath);
    for (const shard of new Set(shards.values())) {
      if (!names.includes(shard))
        throw invalid(`${join(path, shard)}: no such file, but ${INDEX} names it (incomplete download?)`, {
          file: shard,
        });
      const file = await readSafetensorsHeader(join(path, shard));
      files.set(file.path, file);
    }
    for (const [name, shard] of shards) {
      const file = files.get(join(path, shard))!;
      const entry = file.tensors.get(name);
      if (entry === undefined)
        throw invalid(`${file.path}: has no tensor ${brief(name)}, but ${INDEX} says so`, {
          file: shard,
          tensor: name,
        });
      tensors.set(name, { ...entry, file: file.path });
    }
    await refuseContradictions(tensors, files);
  } else throw missingWeights(path, names);
  if (tensors.size === 0) throw invalid(`${path}: its safetensors hold no tensor`, { folder: path });
  return { path, configPath, config, tensors, files };
}

/**
 * A tensor may be in two shards, as long as both hold the same bytes: of two values, the index counts here and the last shard in
 * transformers.
 */
async function refuseContradictions(
  tensors: ReadonlyMap<string, ModelTensor>,
  files: ReadonlyMap<string, SafetensorsFile>,
): Promise<void> {
  for (const [name, { file: path }] of tensors) {
    for (const other of files.values()) {
      if (other.path === path || !other.tensors.has(name)) continue;
      const [counted, second] = [files.get(path)!, other].map((file) => readTensorBytes(file, name));
      if (Buffer.compare((await counted)!, (await second)!) === 0) continue;
      throw invalid(
        `${other.path}: tensor ${brief(name)} differs from the one in ${basename(path)}, which ${INDEX} names; remove one`,
        { file: other.path, tensor: name },
      );
    }
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

/**
 * One tensor's values as float32, row-major.
 * @throws {KindredError} `invalid_model` where it is missing, truncated or of an unsupported dtype
 */
export async function readModelTensor(folder: ModelFolder, name: string): Promise<Float32Array> {
  const tensor = folder.tensors.get(name);
  if (tensor === undefined)
    throw invalid(`${folder.path}: has no tensor ${brief(name)}`, { folder: folder.path, tensor: name });
  if (folder.gguf === undefined) return readTensor(folder.files.get(tensor.file)!, name);
  const weight = folder.gguf.weights.get(name)!;
  const values = await readGgufTensor(folder.gguf.file, weight.name);
  return weight.interleaved === undefined ? values : deinterleaved(values, tensor.shape[0]!, weight.interleaved);
}

/** The packed format of a GGUF's four-bit tensor; undefined for a tensor of another type. */
export function storedForm({ dtype }: ModelTensor): "int4" | "int4-min" | undefined {
  return dtype === "Q4_0" ? "int4" : dtype === "Q4_1" ? "int4-min" : undefined;
}

/** The packed blocks of a tensor that has a `storedForm`. @throws {KindredError} as `readModelTensor` */
export async function readPackedTensor({ gguf, tensors }: ModelFolder, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { dtype, shape } = tensors.get(name)!;
  const { name: own, interleaved } = gguf!.weights.get(name)!;
  const blocks = await readGgufBytes(gguf!.file, own);
  const ordered = interleaved === undefined ? blocks : deinterleaved(blocks, shape[0]!, interleaved);
  return packGgmlBlocks(dtype as "Q4_0" | "Q4_1", ordered, shape);
}

/** The files with tensors. */
function filesOf({ tensors }: ModelFolder): ReadonlySet<string> {
  return new Set([...tensors.values()].map(({ file }) => file));
}

async function hashRange(hash: Hash, handle: FileHandle, tensor: ModelTensor, buffer: Uint8Array): Promise<void> {
  for (let done = 0; done < tensor.byteLength; ) {
    const length = Math.min(buffer.byteLength, tensor.byteLength - done);
    const { bytesRead } = await handle.read(buffer, 0, length, tensor.offset + done);
    if (bytesRead === 0)
      throw invalid(`${tensor.file}: ends at byte ${tensor.offset + done}, inside a tensor (truncated?)`, {
        file: tensor.file,
      });
    hash.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
}

export interface ModelHashOptions {
  /**
   * A JSON file with hashes by the weights' paths, sizes and times, so that a large model is read once. It is created
   * where it is missing, and replaced where it is damaged.
   */
  readonly cache?: string;
  /** Format that the linears are quantised to: all clients of a run must have the same. @default "none" */
  readonly quantization?: Quantization | "none";
}

/**
 * Hash of a base model: SHA-256 (hex) over the sorted list of [name, dtype, shape, SHA-256 of its bytes] of all tensors,
 * and over the configuration's fields that change results. It does not depend on shards or the order in files.
 *
 * Reads all weights once, in chunks, so that the event loop stays free.
 */
export async function modelHash(folder: ModelFolder, options: ModelHashOptions = {}): Promise<string> {
  const { quantization = "none" } = options;
  const hash = await weightsHash(folder, options);
  if (quantization === "none") return hash;
  return createHash("sha256").update(`kindred quantised model 1\n${hash}\n${quantization}`).digest("hex");
}

async function weightsHash(folder: ModelFolder, options: ModelHashOptions): Promise<string> {
  const config = canonicalJson(influentialConfig(folder.config));
  const key = options.cache === undefined ? undefined : await cacheKey(folder, config);
  const known = options.cache === undefined ? {} : await readCache(options.cache);
  if (key !== undefined && Object.hasOwn(known, key)) return known[key]!;

  const whole = createHash("sha256").update(`kindred model 1\n${config}\n`);
  const handles = new Map<string, FileHandle>();
  const buffer = new Uint8Array(HASH_CHUNK_BYTES);
  try {
    for (const file of filesOf(folder)) handles.set(file, await open(file, "r"));
    for (const name of [...folder.tensors.keys()].sort()) {
      const tensor = folder.tensors.get(name)!;
      const hash = createHash("sha256");
      await hashRange(hash, handles.get(tensor.file)!, tensor, buffer);
      whole.update(`${JSON.stringify([name, tensor.dtype, tensor.shape, hash.digest("hex")])}\n`);
    }
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
  const digest = whole.digest("hex");
  if (options.cache !== undefined && key !== undefined) {
    // The last thousand entries: each start reads the whole cache, so it must not grow without bound.
    const kept = [...Object.entries(known).slice(-999), [key, digest]];
    const text = `${JSON.stringify(Object.fromEntries(kept), undefined, 1)}\n`;
    await writeAtomically(options.cache, text, { access: "umask" });
  }
  return digest;
}

/** A key that changes with the weights. Inode and time in nanoseconds detect a replaced file. */
async function cacheKey(folder: ModelFolder, config: string): Promise<string> {
  const hash = createHash("sha256").update(config);
  for (const file of [...filesOf(folder)].sort()) {
    const { size, mtimeNs, ctimeNs, ino, dev } = await stat(file, { bigint: true });
    hash.update(`\n${JSON.stringify(file)} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`);
  }
  return hash.digest("hex");
}

/** Reads the cache; empty where it is damaged in any way: hashes are then computed anew and the file is replaced. */
async function readCache(path: string): Promise<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (!isObject(value)) return {};
    const pairs = Object.entries(value).filter(([key, hash]) =>
      [key, hash].every((hex) => /^[0-9a-f]{64}$/.test(String(hex))),
    );
    return Object.fromEntries(pairs) as Record<string, string>;
  } catch {
    return {};
  }
}
