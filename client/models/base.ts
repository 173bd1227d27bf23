/**
 * Opens a frozen base model: checks its configuration, computes its hash, and finds its weights. Weights stay in files and are
 * memory-mapped by every session that uses them.
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { defaultCache, makeCache } from "../../shared/base/cache.js";
import { KindredError } from "../../shared/base/errors.js";
import { makeFolder } from "../../shared/base/folders.js";
import { sizeOf } from "../../shared/base/tensors.js";
import type { WeightSource } from "../../shared/graph/graph.js";
import { type ModelFolder, modelHash, openModelFolder } from "../../shared/models/files.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import { type Architecture, storedName } from "./architecture.js";
import { resolveTiedHead } from "./tied.js";
import { prepareWeights, type Weight } from "./weights.js";

export interface BaseModel {
  readonly folder: ModelFolder;
  readonly architecture: Architecture;
  /** SHA-256 of weights, configuration and quantisation, equal on every machine. */
  readonly hash: string;
  /** Location of each weight, by its Hugging Face name. */
  readonly sources: ReadonlyMap<string, WeightSource>;
  /** Number of weights. */
  readonly parameters: number;
  /** Tensors of the files that the model has no use for: more layers than the configuration says, biases, another head. */
  readonly unused: readonly string[];
}

export interface BaseOptions {
  /** Format that the linears are rounded to. The embedding, the norms and the head stay as they are. @default "none" */
  readonly quantization?: Quantization | "none";
}

/** Tables that modules computed and older checkpoints saved: frequencies of rotary embeddings, masks, positions. */
const BUFFER = /(^|\.)(rotary_emb\.inv_freq|(attn|attention)\.(masked_)?bias|position_ids)$/;

/**
 * @param path a Hugging Face model folder, or a GGUF file
 * @throws {KindredError} `invalid_model` or `unsupported`, naming file and field or tensor; `invalid_config` where no linear
 *   consists of whole blocks
 */
export async function openBaseModel(path: string, { quantization = "none" }: BaseOptions = {}): Promise<BaseModel> {
  const folder = await openModelFolder(path);
  const { architecture, found: elsewhere } = await resolveTiedHead(folder);
  const weights: Weight[] = [];
  const linears = new Set(architecture.linears.map(({ name }) => `${name}.weight`));
  let parameters = 0;
  for (const [name, shape] of architecture.weights) {
    const found = elsewhere.get(name) ?? storedName(folder, architecture, name);
    const tensor = folder.tensors.get(found);
    if (tensor === undefined)
      throw new KindredError("invalid_model", `${folder.path}: the weights lack the tensor ${name}`);
    weights.push({ name, found, shape, linear: linears.has(name) });
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      throw new KindredError(
        "invalid_model",
        `${tensor.file}: tensor ${name} has shape [${tensor.shape.join(", ")}]; the configuration asks for [${shape.join(", ")}]`,
      );
    }
    parameters += sizeOf(shape);
  }
  const cache = defaultCache();
  makeCache(cache);
  makeFolder(join(cache, "weights"));
  const weightsCache = await realpath(join(cache, "weights"));
  const hash = await modelHash(folder, { cache: join(cache, "model-hashes.json"), quantization });
  const used = new Set(weights.map(({ found }) => found));
  const unused = [...folder.tensors.keys()].filter(
    (name) => !used.has(name) && !BUFFER.test(name) && name !== architecture.tied?.head,
  );
  const sources = await prepareWeights(folder, weights, quantization, join(weightsCache, `${hash}.bin`));
  return { folder, architecture, hash, sources, parameters, unused };
}
