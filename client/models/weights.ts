/**
 * A base model's weights in the formats that a runtime takes. Float32 stays in its file. Other formats are converted once, into a
 * file of the cache: half precision is widened (a runtime would otherwise do it in every run, 0.2 s of 1.7 s for 135 M parameters,
 * or hold one copy per session), linears are quantised where that is asked for, and a GGUF's four-bit linears keep their blocks.
 * This file knows no architecture.
 */
import { realpath, stat } from "node:fs/promises";
import { writeAtomically } from "../../shared/base/atomic.js";
import { KindredError } from "../../shared/base/errors.js";
import { sizeOf } from "../../shared/base/tensors.js";
import type { WeightSource } from "../../shared/graph/graph.js";
import { type ModelFolder, readModelTensor, readPackedTensor, storedForm } from "../../shared/models/files.js";
import { fitsBlocks, type PackedForm, packedBytes, type Quantization } from "../../shared/quantization/layout.js";
import { pack } from "../../shared/quantization/pack.js";

export interface Weight {
  readonly name: string;
  /** Its name in the files. */
  readonly found: string;
  readonly shape: readonly number[];
  /** Whether it is a linear's weight, which may be quantised. */
  readonly linear: boolean;
}

/** Weights start at multiples of this: a cache line. */
const ALIGNMENT = 64;

/**
 * Locations of the weights, by name. Links are followed: the hub's cache keeps a model as a folder of links to another folder,
 * and ONNX Runtime refuses a link that leads out of its folder.
 * @param path the file of the cache for this model and quantisation
 * @throws {KindredError} `invalid_config` where no linear consists of whole blocks; as `readModelTensor`
 */
export async function prepareWeights(
  folder: ModelFolder,
  weights: readonly Weight[],
  quantization: Quantization | "none",
  path: string,
): Promise<Map<string, WeightSource>> {
  const sources = new Map<string, WeightSource>();
  const written: Weight[] = [];
  const files = await realPaths(folder);
  let size = 0;
  for (const weight of weights) {
    const form = formOf(folder, weight, quantization);
    const { dtype, offset, file } = folder.tensors.get(weight.found)!;
    if (form === undefined && dtype === "F32" && offset % 4 === 0 && folder.gguf === undefined) {
      sources.set(weight.name, { path: files.get(file)!, offset });
      continue;
    }
    sources.set(weight.name, form === undefined ? { path, offset: size } : { path, offset: size, form });
    written.push(weight);
    const bytes = form === undefined ? 4 * sizeOf(weight.shape) : packedBytes(form, weight.shape);
    size += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
  if (quantization !== "none" && ![...sources.values()].some(({ form }) => form === quantization)) {
    throw new KindredError(
      "invalid_config",
      `${folder.path}: no linear of this model consists of whole blocks of ${quantization}; choose another quantization`,
    );
  }
  const there = await stat(path).catch(() => undefined);
  if (written.length === 0 || there?.size === size) return sources;
  await writeAtomically(
    path,
    async (file) => {
      for (const weight of written) {
        const { offset, form } = sources.get(weight.name)!;
        const bytes = await bytesOf(folder, weight, form);
        await file.write(bytes, 0, bytes.byteLength, offset);
      }
      await file.truncate(size);
    },
    { access: "umask" },
  );
  return sources;
}

/** The files that hold the tensors, each with its path without links. */
async function realPaths({ tensors }: ModelFolder): Promise<Map<string, string>> {
  const files = new Set([...tensors.values()].map(({ file }) => file));
  return new Map(await Promise.all([...files].map(async (file) => [file, await realpath(file)] as const)));
}

/** The packed format of a weight; undefined for float32. */
function formOf(
  folder: ModelFolder,
  { found, shape, linear }: Weight,
  quantization: Quantization | "none",
): PackedForm | undefined {
  if (!linear) return undefined;
  const form = quantization === "none" ? storedForm(folder.tensors.get(found)!) : quantization;
  return form !== undefined && fitsBlocks(form, shape) ? form : undefined;
}

async function bytesOf(
  folder: ModelFolder,
  { found, shape }: Weight,
  form: PackedForm | undefined,
): Promise<Uint8Array> {
  const own = storedForm(folder.tensors.get(found)!);
  if (form === "int4-min" || (form !== undefined && form === own)) return await readPackedTensor(folder, found);
  const values = await readModelTensor(folder, found);
  if (form === undefined) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return pack(form, values, shape, `${folder.path}: tensor ${found}`);
}
