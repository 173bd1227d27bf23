/** Weights stay in their file where they can; a quantisation that fits no linear is refused. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { prepareWeights, type Weight } from "../../../client/models/weights.js";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import { openModelFolder } from "../../../shared/models/files.js";

const root = await mkdtemp(join(tmpdir(), "kindred-weights-"));
after(() => rm(root, { recursive: true, force: true }));
const CACHED = join(root, "cache", "weights.bin");

/** A model folder with a linear `w` of a shape and a norm `n`. */
async function folderOf(shape: readonly [number, number]) {
  await writeFile(join(root, "config.json"), '{"model_type": "any"}');
  const data = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => i % 7);
  const tensors = new Map([
    ["n", { shape: [2], data: Float32Array.of(1, 2) }],
    ["w", { shape, data }],
  ]);
  await writeFile(join(root, "model.safetensors"), encodeSafetensors(tensors));
  const weights: Weight[] = [
    { name: "n", found: "n", shape: [2], linear: false },
    { name: "w", found: "w", shape, linear: true },
  ];
  return { folder: await openModelFolder(root), weights };
}

test("float32 weights stay in their file, and no file is written", async () => {
  const { folder, weights } = await folderOf([4, 32]);
  const sources = await prepareWeights(folder, weights, "none", CACHED);
  assert.deepEqual(
    [...sources.values()].map(({ path }) => path),
    [folder.tensors.get("n")!.file, folder.tensors.get("w")!.file],
  );
  assert.equal(existsSync(CACHED), false);
});

test("a quantised linear is written to the cache, and a norm of the same model stays in its file", async () => {
  const { folder, weights } = await folderOf([4, 32]);
  const sources = await prepareWeights(folder, weights, "nf4", CACHED);
  assert.deepEqual(sources.get("w"), { path: CACHED, offset: 0, form: "nf4" });
  assert.equal(sources.get("n")!.path, folder.tensors.get("n")!.file);
  assert.equal(existsSync(CACHED), true);
});

test("a quantisation that fits no linear is refused", async () => {
  const { folder, weights } = await folderOf([4, 24]);
  await assert.rejects(prepareWeights(folder, weights, "int4", CACHED), {
    code: "invalid_config",
    message: /no linear of this model consists of whole blocks of int4; choose another/,
  });
});
