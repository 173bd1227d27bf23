/**
 * A frozen base model, opened: its configuration checked, its hash, and where its weights lie as float32. Weights stay in
 * their file and are memory-mapped by every session that uses them. Half-precision weights are widened once into a cache
 * file: a runtime would otherwise widen them at every run (0.2 s of 1.7 s for 135 M parameters) or hold a copy a session.
 */
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { defaultCache } from "../../shared/base/cache.js";
import { KindredError } from "../../shared/base/errors.js";
import type { WeightSource } from "../../shared/graph/graph.js";
import { type ModelFolder, modelHash, openModelFolder, readModelTensor } from "../../shared/models/files.js";
import type { Architecture } from "./architecture.js";
import { readArchitecture } from "./families.js";

export interface BaseModel {
  readonly folder: ModelFolder;
  readonly architecture: Architecture;
  /** SHA-256 of weights and configuration, equal on every machine. */
  readonly hash: string;
  /** Where each weight lies as float32, by its Hugging Face name. */
  readonly sources: ReadonlyMap<string, WeightSource>;
  readonly parameters: number;
}

/** Floats start at multiples of this: a cache line. */
const ALIGNMENT = 64;

/**
 * @param path a Hugging Face model folder, or a GGUF file
 * @throws {KindredError} `invalid_model` or `unsupported`, naming file and field or tensor
 */
export async function openBaseModel(path: string): Promise<BaseModel> {
  const folder = await openModelFolder(path);
  const architecture = readArchitecture(folder.config, folder.configPath);
  /** Each weight's name in the files. */
  const stored = new Map<string, string>();
  let parameters = 0;
  for (const [name, shape] of architecture.weights) {
    const found = storedName(folder, architecture, name);
    const tensor = folder.tensors.get(found);
    if (tensor === undefined)
      throw new KindredError("invalid_model", `${folder.path}: the weights lack the tensor ${name}`);
    stored.set(name, found);
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      throw new KindredError(
        "invalid_model",
        `${tensor.file}: tensor ${name} has shape [${tensor.shape.join(", ")}], the configuration makes it [${shape.join(", ")}]`,
      );
    }
    parameters += shape.reduce((n, dim) => n * dim, 1);
  }
  const cache = defaultCache();
  await mkdir(cache, { recursive: true });
  const hash = await modelHash(folder, { cache: join(cache, "model-hashes.json") });
  const direct = [...stored.values()].every((name) => {
    const { dtype, offset } = folder.tensors.get(name)!;
    return dtype === "F32" && offset % 4 === 0 && folder.gguf === undefined;
  });
  const sources = direct
    ? new Map(
        [...stored].map(([name, found]) => {
          const { file, offset } = folder.tensors.get(found)!;
          return [name, { path: file, offset }];
        }),
      )
    : await widened(folder, hash, stored, join(cache, "float32"));
  return { folder, architecture, hash, sources, parameters };
}

/** A weight's name in the files: checkpoints of a model without its head (the hub's GPT-2 is one) leave out the prefix. */
function storedName(folder: ModelFolder, { prefix }: Architecture, name: string): string {
  const short = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return !folder.tensors.has(name) && folder.tensors.has(short) ? short : name;
}

/** Writes the weights as float32 into one file of the cache, unless they are there already. */
async function widened(
  folder: ModelFolder,
  hash: string,
  stored: ReadonlyMap<string, string>,
  into: string,
): Promise<Map<string, WeightSource>> {
  const path = join(into, `${hash}.bin`);
  const sources = new Map<string, WeightSource>();
  let size = 0;
  for (const [name, found] of stored) {
    sources.set(name, { path, offset: size });
    const bytes = folder.tensors.get(found)!.shape.reduce((n, dim) => n * dim, 4);
    size += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  const there = await stat(path).catch(() => undefined);
  if (there?.size === size) return sources;
  await mkdir(into, { recursive: true });
  const draft = `${path}.${process.pid}.draft`;
  try {
    const file = await open(draft, "w");
    try {
      for (const [name, found] of stored) {
        const data = await readModelTensor(folder, found);
        await file.write(
          new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
          0,
          data.byteLength,
          sources.get(name)!.offset,
        );
      }
      await file.truncate(size);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return sources;
}
