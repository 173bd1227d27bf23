/** The members of an exported ensemble. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readEnsemble, writeEnsemble } from "../../../shared/adapters/ensemble-folder.js";
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

test("a folder that holds no ensemble is refused, with the folders that do", async () => {
  await assert.rejects(readEnsemble(join(tmpdir(), "kindred-no-ensemble"), "harbour"), {
    code: "invalid_adapter",
    message: /kindred-no-ensemble: has no ensemble\.json; name a folder that kindred export wrote, or the ensemble\//,
  });
});

test("a model of the hub at a revision is named as PEFT has it, and the card tells both", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindred-ensemble-"));
  try {
    const adapter = { kind: "lora", rank: 2, alpha: 4, dropout: 0, rslora: false, modules: ["q_proj"] } as const;
    const tensors = new Map([
      ["model.layers.1.self_attn.q_proj.lora_A.weight", { shape: [2, 3], data: new Float32Array(6).fill(1) }],
      ["model.layers.1.self_attn.q_proj.lora_B.weight", { shape: [3, 2], data: new Float32Array(6).fill(2) }],
    ]);
    const tokenizer = new Map([["tokenizer.json", Buffer.from("{}")]]);
    const members = [{ name: "one", tensors }];
    await writeEnsemble(folder, { baseModel: "owner/name@abc", adapter, members, weights: [], tokenizer });
    const read = async (...path: string[]) => await readFile(join(folder, ...path), "utf8");
    const { base_model_name_or_path: base, revision } = JSON.parse(await read("members", "one", "adapter_config.json"));
    assert.deepEqual([base, revision], ["owner/name", "abc"]);
    assert.equal((await readPeftAdapter(join(folder, "members", "one"))).baseModel, "owner/name");
    assert.match(await read("members", "one", "README.md"), /^Base model: `owner\/name`, revision `abc`\.$/m);
    assert.equal(await read("members", "one", "tokenizer.json"), "{}");
    assert.match(await read("README.md"), /^1 adapter of one base model/m);
  } finally {
    await rm(folder, { recursive: true });
  }
});
