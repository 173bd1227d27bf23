/** PEFT folders: read as PEFT wrote them, written and read again, and refused. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type PeftAdapter, readPeftAdapter, writePeftAdapter } from "../../../shared/adapters/peft.js";
import { writeSafetensors } from "../../../shared/adapters/safetensors.js";
import { scaleOf } from "../../../shared/adapters/scale.js";
import { asset } from "../../../shared/base/assets.js";
import type { FloatTensor } from "../../../shared/base/tensors.js";

const fixtures = asset("test", "fixtures", "peft");

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-peft-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function tensor(shape: readonly number[], start = 1): FloatTensor {
  return { shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i / 8) };
}

const module = "model.layers.0.self_attn.q_proj";
const adapter: PeftAdapter = {
  rank: 2,
  alpha: 6,
  dropout: 0.1,
  targetModules: ["q_proj"],
  useRslora: false,
  tensors: new Map([
    [`${module}.lora_A.weight`, tensor([2, 5])],
    [`${module}.lora_B.weight`, tensor([3, 2], 9)],
  ]),
};

/** Our adapter with fields of its configuration changed (undefined: left out), in `folder`. */
async function changed(fields: Readonly<Record<string, unknown>>): Promise<string> {
  await writePeftAdapter(folder, adapter, { baseModel: "base" });
  const path = join(folder, "adapter_config.json");
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...fields }));
  return folder;
}

for (const name of ["init", "adapters/all", "adapters/qv", "adapters/rslora"]) {
  test(`a folder that PEFT wrote (${name}) is read, and written again with the same bytes of tensors`, async () => {
    const read = await readPeftAdapter(join(fixtures, name));
    const config = JSON.parse(await readFile(join(fixtures, name, "adapter_config.json"), "utf8"));
    assert.equal(read.rank, config.r);
    assert.equal(read.alpha, config.lora_alpha);
    assert.deepEqual(read.targetModules, config.target_modules);
    assert.equal(read.baseModel, config.base_model_name_or_path);
    assert.equal(read.useRslora, config.use_rslora);
    assert.equal(scaleOf(read), config.lora_alpha / (config.use_rslora ? Math.sqrt(config.r) : config.r));
    assert.ok([...read.tensors.keys()].every((tensor) => tensor.startsWith("model.layers.")));
    await writePeftAdapter(folder, read, { baseModel: "tied" });
    assert.deepEqual((await readdir(folder)).sort(), ["adapter_config.json", "adapter_model.safetensors"]);
    const again = await readPeftAdapter(folder);
    assert.deepEqual(again, { ...read, tensors: again.tensors });
    assert.deepEqual([...again.tensors].sort(), [...read.tensors].sort());
  });
}

test("the scale is alpha / rank, or alpha / sqrt(rank) with rsLoRA", async () => {
  assert.equal(scaleOf(await readPeftAdapter(await changed({}))), 3);
  assert.equal(scaleOf(await readPeftAdapter(await changed({ use_rslora: true, r: 2 }))), 6 / Math.SQRT2);
});

test("fields that are unknown and off, or known and without effect, are ignored", async () => {
  const read = await readPeftAdapter(
    await changed({
      some_later_feature: null,
      another: false,
      a_list: [],
      a_map: {},
      a_text: "",
      loftq_config: { loftq_bits: 4 },
      megatron_core: "megatron.core",
      qalora_group_size: 16,
      peft_version: "9.9",
      init_lora_weights: "gaussian",
      base_model_name_or_path: "/etc/passwd",
      revision: "main",
    }),
  );
  assert.deepEqual({ ...read, tensors: null }, { ...adapter, baseModel: "/etc/passwd", tensors: null });
});

test("a configuration of PEFT 0.2 is read", async () => {
  const old = { enable_lora: null, use_rslora: undefined, use_dora: undefined };
  const read = await readPeftAdapter(await changed({ ...old, init_lora_weights: undefined, merge_weights: true }));
  assert.deepEqual({ ...read, tensors: null }, { ...adapter, baseModel: "base", tensors: null });
});

test("missing fields have PEFT's defaults", async () => {
  await changed({ r: undefined, lora_alpha: undefined, lora_dropout: undefined, bias: undefined });
  await assert.rejects(readPeftAdapter(folder), /with r 8 it must be \[8, in\]/);
});

const refused: Readonly<Record<string, unknown>> = {
  peft_type: "IA3",
  task_type: "SEQ_CLS",
  bias: "all",
  use_dora: true,
  use_qalora: true,
  lora_bias: true,
  modules_to_save: ["lm_head"],
  layer_replication: [[0, 1]],
  target_parameters: ["experts"],
  trainable_token_indices: [1],
  alora_invocation_tokens: [1],
  init_lora_weights: "pissa_niter_4",
  arrow_config: { top_k: 3 },
  some_later_feature: true,
};
for (const [field, value] of Object.entries(refused)) {
  test(`${field} ${JSON.stringify(value)} is refused by name`, async () => {
    const path = await changed({ [field]: value });
    await assert.rejects(readPeftAdapter(path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "unsupported");
      assert.ok(error.message.includes(`adapter_config.json: ${field} is ${JSON.stringify(value)}`), error.message);
      return true;
    });
  });
}

const wrong: Readonly<Record<string, unknown>> = {
  r: 0,
  lora_alpha: "8",
  lora_dropout: 1,
  use_rslora: 1,
  target_modules: [],
  exclude_modules: [1],
  layers_to_transform: [0.5],
  layers_pattern: [1],
  rank_pattern: { q_proj: 0 },
  alpha_pattern: { q_proj: "4" },
};
for (const [field, value] of Object.entries(wrong)) {
  test(`${field} ${JSON.stringify(value)} is invalid`, async () => {
    const path = await changed({ [field]: value });
    await assert.rejects(readPeftAdapter(path), {
      code: "invalid_adapter",
      message: new RegExp(`adapter_config\\.json: ${field} must be .*, got`),
    });
  });
}

const a = `base_model.model.${module}.lora_A.weight`;
const b = `base_model.model.${module}.lora_B.weight`;
const other = "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight";
const badTensors: readonly [name: string, tensors: readonly [string, FloatTensor][], message: RegExp][] = [
  ["no tensors", [], /has no tensors/],
  ["an A without its B", [[a, tensor([2, 5])]], /has no lora_B\.weight/],
  ["another rank", [[a, tensor([3, 5])]], /has the shape \[3, 5\]; with r 2 it must be \[2, in\]/],
  ["a B lying down", [[b, tensor([2, 3])]], /has the shape \[2, 3\]; with r 2 it must be \[out, 2\]/],
  ["a vector", [[a, tensor([2])]], /has the shape \[2\]/],
  [
    "a module that is no target",
    [[other, tensor([2, 5])]],
    /k_proj.* belongs to a module that target_modules does not name/,
  ],
  [
    "a name without PEFT's prefix",
    [[`${module}.lora_A.weight`, tensor([2, 5])]],
    /does not start with base_model\.model\./,
  ],
  [
    "the name of another adapter than PEFT loads",
    [[a.replace(".weight", ".mine.weight"), tensor([2, 5])]],
    /lora_A\.mine\.weight" is of the adapter "mine"; rename it to "base_model\.model\..*\.lora_A\.weight"/,
  ],
  [
    "a tensor with and without the adapter's name",
    [
      [a, tensor([2, 5])],
      [a.replace(".weight", ".default.weight"), tensor([2, 5])],
    ],
    /lora_A\.(default\.)?weight" is there twice/,
  ],
  ["DoRA's vector", [[a.replace("lora_A.weight", "lora_magnitude_vector"), tensor([3])]], /is not a lora_A\.weight/],
  ["LoRA on the head", [["base_model.model.lm_head.lora_A.weight", tensor([2, 5])]], /model's head.*merge_and_unload/],
  [
    "LoRA on the embedding",
    [["base_model.model.model.embed_tokens.lora_embedding_A", tensor([2, 5])]],
    /adapts an embedding.*merge_and_unload/,
  ],
  [
    "NaN",
    [
      [a, { shape: [2, 1], data: Float32Array.of(1, Number.NaN) }],
      [b, tensor([3, 2])],
    ],
    /lora_A\.weight" holds NaN at 1; adapters must be finite/,
  ],
];
for (const [name, tensors, message] of badTensors) {
  test(`an adapter with ${name} is refused`, async () => {
    await changed({});
    await writeSafetensors(join(folder, "adapter_model.safetensors"), new Map(tensors));
    await assert.rejects(readPeftAdapter(folder), { name: "KindredError", message });
  });
}

test("names with PEFT's own name of the adapter in them, as a plain state_dict has them, are read like names without", async () => {
  const plain = await readPeftAdapter(await changed({}));
  const named = new Map(
    [...adapter.tensors].map(([name, value]) => [
      `base_model.model.${name.replace(/\.weight$/, ".default.weight")}`,
      value,
    ]),
  );
  await writeSafetensors(join(folder, "adapter_model.safetensors"), named);
  assert.deepEqual(await readPeftAdapter(folder), plain);
});

test("tensors of modules that a pattern or a list of layers excludes are refused", async () => {
  const all = { target_modules: ".*\\.[kq]_proj", layers_to_transform: null };
  assert.deepEqual((await readPeftAdapter(await changed(all))).targetModules, [module]);
  for (const fields of [
    { target_modules: "q_proj" }, // a pattern is of the whole name
    { target_modules: ".*\\.[kv]_proj" },
    { layers_to_transform: [1] },
    { layers_to_transform: 0, layers_pattern: "blocks" },
    { exclude_modules: ["self_attn.q_proj"] },
    { exclude_modules: ".*q_proj" },
  ]) {
    await assert.rejects(
      readPeftAdapter(await changed(fields)),
      /belongs to a module that target_modules does not name/,
    );
  }
});

test("a factor of zero or below is refused by its field", async () => {
  for (const lora_alpha of [0, -8]) {
    await assert.rejects(readPeftAdapter(await changed({ lora_alpha })), {
      code: "invalid_adapter",
      message: new RegExp(`adapter_config\\.json: lora_alpha must be a positive number, got ${lora_alpha}$`),
    });
  }
});

test("a folder of several adapters is refused, naming them", async () => {
  const several = join(folder, "several");
  for (const name of ["checkpoint-10", "default"]) {
    await writePeftAdapter(join(several, name), adapter, { baseModel: "base" });
  }
  await assert.rejects(readPeftAdapter(several), {
    code: "invalid_adapter",
    message: /is not a PEFT adapter's folder; .*; name one of the folders in it: checkpoint-10, default$/,
  });
  await rm(several, { recursive: true });
});

test("an export is refused as an adapter, naming the adapters in it", async () => {
  const exported = join(folder, "exported");
  await writePeftAdapter(join(exported, "members", "group-1"), adapter, { baseModel: "base" });
  await assert.rejects(readPeftAdapter(exported), /name one of the folders in it: members\/group-1$/);
  await rm(exported, { recursive: true });
});

for (const [why, field, fields] of [
  ["that would take years", "target_modules", { target_modules: "(.*)*(.*)*(.*)*x" }],
  ["that closes the brackets around it", "rank_pattern", { rank_pattern: { "a)|(.*": 2 } }],
  ["of Python's alone", "alpha_pattern", { alpha_pattern: { "(?P<name>.*)": 2 } }],
  ["with a reference", "exclude_modules", { exclude_modules: "(q)?\\1.*" }],
  ["of great length", "layers_pattern", { layers_to_transform: 0, layers_pattern: "a".repeat(200_000) }],
] as const) {
  test(`a pattern ${why} in ${field} is refused by its field`, async () => {
    const path = await changed(fields);
    await assert.rejects(readPeftAdapter(path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "unsupported");
      assert.match(error.message, new RegExp(`adapter_config\\.json: ${field}: .*; list the modules by their names`));
      return true;
    });
  });
}

test("ranks that would multiply a small file's size are refused before memory is allocated", async () => {
  const modules = Array.from({ length: 100 }, (_, i) => `model.layers.${i}.self_attn.q_proj`);
  const rankOf = (i: number): number => (i === 0 ? 4096 : 1);
  const tensors = modules.flatMap((name, i): [string, FloatTensor][] => [
    [`base_model.model.${name}.lora_A.weight`, tensor([rankOf(i), i === 0 ? 1 : 50])],
    [`base_model.model.${name}.lora_B.weight`, tensor([i === 0 ? 1 : 50, rankOf(i)])],
  ]);
  await changed({ r: 1, rank_pattern: { "layers.0.self_attn.q_proj": 4096 } });
  await writeSafetensors(join(folder, "adapter_model.safetensors"), new Map(tensors));
  await assert.rejects(readPeftAdapter(folder), /ranks of its modules differ too much \(up to 4096\)/);
});

test("the messages for a pickle, a missing file and a wrong folder say what to do", async () => {
  await changed({});
  await rm(join(folder, "adapter_model.safetensors"));
  await assert.rejects(readPeftAdapter(folder), /adapter_model\.safetensors: no such file/);
  await writeFile(join(folder, "adapter_model.bin"), "");
  await assert.rejects(readPeftAdapter(folder), {
    code: "unsupported",
    message: /is a pickle.*convert it with python/,
  });
  await rm(join(folder, "adapter_config.json"));
  await assert.rejects(readPeftAdapter(folder), /looked for adapter_config\.json/);
  await assert.rejects(readPeftAdapter(join(folder, "none")), /none: is not an adapter's folder \(no such file\)/);
});

test("an adapter whose tensors contradict its fields is not written", async () => {
  await assert.rejects(writePeftAdapter(folder, { ...adapter, rank: 3 }, { baseModel: "b" }), {
    code: "invalid_adapter",
  });
  assert.deepEqual(await readdir(folder), []);
});
