/** The members of an exported ensemble. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeEnsemble } from "../../../shared/adapters/ensemble-folder.js";
import { readPeftAdapter } from "../../../shared/adapters/peft.js";

test("members name the run's modules where these are of some layers alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindred-ensemble-"));
  const module = "model.layers.1.self_attn.q_proj";
  const tensors = new Map([
    [`${module}.lora_A.weight`, { shape: [2, 3], data: new Float32Array(6).fill(1) }],
    [`${module}.lora_B.weight`, { shape: [3, 2], data: new Float32Array(6).fill(2) }],
  ]);
  const adapter = { kind: "lora", rank: 2, alpha: 4, dropout: 0.1, rslora: true } as const;
  const written = async (modules: readonly string[]) => {
    const members = [{ name: "one", tensors }];
    await writeEnsemble(folder, { baseModel: "base", adapter: { ...adapter, modules }, members, weights: [] });
    return await readPeftAdapter(join(folder, "members", "one"));
  };
  try {
    const { tensors: read, ...fields } = await written(["layers.1.self_attn.q_proj"]);
    const expected = { rank: 2, alpha: 4, dropout: 0.1, useRslora: true, baseModel: "base" };
    assert.deepEqual(fields, { ...expected, targetModules: ["layers.1.self_attn.q_proj"] });
    assert.deepEqual(read, tensors);
    assert.deepEqual((await written([])).targetModules, ["q_proj"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
