/** A model of a given shape with random weights, as a Hugging Face folder, for benchmarks that need no real weights. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EncodedRow } from "../../client/data/types.js";
import { type BaseModel, openBaseModel } from "../../client/models/base.js";
import { readArchitecture } from "../../client/models/families.js";
import { SeededRng } from "../../shared/base/random.js";

/** SmolLM2-135M's configuration. */
export const SMOLLM2_135M = {
  model_type: "llama",
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49152,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  hidden_act: "silu",
  tie_word_embeddings: true,
} as const;

/** A Llama of 37 M parameters. */
export const SHAPE_37M = {
  ...SMOLLM2_135M,
  hidden_size: 384,
  intermediate_size: 1024,
  num_hidden_layers: 16,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  vocab_size: 32000,
} as const;

/** Opens a model of this shape; its folder is removed after `use`. */
export async function withRandomModel<T>(
  use: (model: BaseModel) => Promise<T>,
  shape: Readonly<Record<string, unknown>> = SMOLLM2_135M,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "kindred-bench-"));
  try {
    await writeRandomModel(folder, shape, 1);
    return await use(await openBaseModel(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Rows of random tokens. @param length tokens per row, of which the last `scored` are scored */
export function randomRows(model: BaseModel, rows: number, length: number, scored: number): EncodedRow[] {
  const rng = new SeededRng(2, "tokens");
  return Array.from({ length: rows }, () => ({
    tokens: Int32Array.from({ length: length + 1 }, () => rng.int(model.architecture.vocabulary)),
    scored: Int32Array.from({ length: scored }, (_, i) => length - scored + i + 1),
  }));
}

/** Writes config.json and model.safetensors (float32, standard deviation 0.02; norms 1). */
async function writeRandomModel(folder: string, json: Readonly<Record<string, unknown>>, seed: number): Promise<void> {
  const { weights } = readArchitecture(json);
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, shape] of weights) {
    const bytes = shape.reduce((n, dim) => n * dim, 4);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil((text.length + 8) / 64) * 64 - 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  // One block of normals, started at another place for every tensor: drawing 135 M numbers would take longer than the benchmark.
  const rng = new SeededRng(seed, "weights");
  const block = Float32Array.from({ length: 1 << 20 }, () => 0.02 * rng.normal());
  const config = await open(join(folder, "config.json"), "w");
  await config.writeFile(JSON.stringify(json));
  await config.close();
  const file = await open(join(folder, "model.safetensors"), "w");
  try {
    await file.write(length);
    await file.write(padded);
    for (const [name, shape] of weights) {
      const size = shape.reduce((n, dim) => n * dim, 1);
      if (name.includes("norm")) {
        await file.write(new Uint8Array(new Float32Array(size).fill(1).buffer));
        continue;
      }
      for (let done = 0; done < size; ) {
        const start = rng.int(block.length);
        const part = block.subarray(start, start + Math.min(block.length - start, size - done));
        await file.write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
        done += part.length;
      }
    }
  } finally {
    await file.close();
  }
}
