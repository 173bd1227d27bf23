/** Valid and damaged model folders, and the base model's hash. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { encodeSafetensors, writeSafetensors } from "../../../shared/adapters/safetensors.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";
import { type ModelFolder, modelHash, openModelFolder, readModelTensor } from "../../../shared/models/files.js";

let root: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "kindred-models-"));
});
after(() => rm(root, { recursive: true, force: true }));

const config = { model_type: "llama", hidden_size: 2, vocab_size: 3, rope_theta: 10000, use_cache: true };

function tensor(shape: readonly number[], start: number): FloatTensor {
  return { shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i) };
}

const weights: NamedTensors = new Map([
  ["model.norm.weight", tensor([2], 1)],
  ["model.embed_tokens.weight", tensor([3, 2], 5)],
  ["lm_head.weight", tensor([3, 2], 20)],
]);

/** A new folder with these files. */
async function folder(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const path = join(root, `m${count++}`);
  await mkdir(path);
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return path;
}

function single(fields: object = config, tensors: NamedTensors = weights, dtype: "F32" | "F16" = "F32") {
  return folder({
    "config.json": JSON.stringify(fields),
    "model.safetensors": encodeSafetensors(tensors, { dtype }),
  });
}

/** @param more tensors that b.safetensors holds too */
function sharded(map: Readonly<Record<string, string>>, more: NamedTensors = new Map()) {
  const pick = (...names: string[]) => names.map((name) => [name, weights.get(name)!] as const);
  return folder({
    "config.json": JSON.stringify(config),
    "model.safetensors.index.json": JSON.stringify({ metadata: {}, weight_map: map }),
    "a.safetensors": encodeSafetensors(new Map(pick("lm_head.weight", "model.norm.weight"))),
    "b.safetensors": encodeSafetensors(new Map([...pick("model.embed_tokens.weight"), ...more])),
  });
}

const map = {
  "lm_head.weight": "a.safetensors",
  "model.norm.weight": "a.safetensors",
  "model.embed_tokens.weight": "b.safetensors",
};

const LFS_POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 1042688\n`;

async function hashOf(path: string | Promise<string>): Promise<string> {
  return modelHash(await openModelFolder(await path));
}

async function values(model: ModelFolder): Promise<Map<string, number[]>> {
  const read = new Map<string, number[]>();
  for (const name of [...model.tensors.keys()].sort()) read.set(name, [...(await readModelTensor(model, name))]);
  return read;
}

test("one file and shards give the same tensors and the same hash", async () => {
  const whole = await openModelFolder(await single());
  const parts = await openModelFolder(await sharded(map));
  assert.deepEqual(await values(whole), await values(parts));
  assert.deepEqual(whole.tensors.get("model.norm.weight")!.shape, [2]);
  assert.match(await modelHash(whole), /^[0-9a-f]{64}$/);
  assert.equal(await modelHash(whole), await modelHash(parts));
});

test("a tensor may be in two shards with the same values", async () => {
  const norm = new Map([["model.norm.weight", weights.get("model.norm.weight")!]]);
  const whole = await openModelFolder(await single());
  assert.deepEqual(await values(await openModelFolder(await sharded(map, norm))), await values(whole));
});

test("a byte order mark before a configuration is no part of it", async () => {
  const marked = await folder({
    "config.json": `\ufeff${JSON.stringify(config)}`,
    "model.safetensors": encodeSafetensors(weights),
  });
  assert.equal(await hashOf(marked), await hashOf(single()));
});

test("the hash changes with a value, a name, a shape, a width and a field that changes results", async () => {
  const changed = (name: string, entry: FloatTensor) => new Map([...weights, [name, entry]]);
  const hashes = await Promise.all([
    hashOf(single()),
    hashOf(single(config, changed("model.norm.weight", tensor([2], 1.5)))),
    hashOf(single(config, changed("more", tensor([2], 1)))),
    hashOf(single(config, changed("lm_head.weight", tensor([2, 3], 20)))),
    hashOf(single(config, weights, "F16")),
    hashOf(single({ ...config, rope_theta: 10001 })),
    hashOf(single({ ...config, rms_norm_eps: 1e-5 })),
    hashOf(single({ ...config, rope_scaling: { rope_type: "llama3", factor: 8 } })),
    hashOf(single({ ...config, partial_rotary_factor: 0.5 })),
    hashOf(single({ ...config, sliding_window: null })),
  ]);
  assert.equal(new Set(hashes).size, hashes.length);
});

test("the hash does not change with the order of fields or with fields that change nothing", async () => {
  const { rope_theta, ...rest } = config;
  const same = [
    { ...Object.fromEntries(Object.entries(config).reverse()) },
    { ...config, use_cache: false, torch_dtype: "float16", transformers_version: "9", rope_scaling: null },
    { ...rest, rope_parameters: { rope_theta, rope_type: "default" } },
  ];
  const expected = await hashOf(single());
  for (const fields of same) assert.equal(await hashOf(single(fields)), expected, JSON.stringify(fields));
});

test("where both fields hold a rotary embedding, the hash is that of rope_scaling alone", async () => {
  const rope_scaling = { rope_type: "linear", factor: 4 };
  const both = { ...config, rope_scaling, rope_parameters: { rope_type: "default", rope_theta: 500 } };
  assert.equal(await hashOf(single(both)), await hashOf(single({ ...config, rope_scaling })));
  assert.notEqual(await hashOf(single({ ...both, rope_scaling: {} })), await hashOf(single()));
  // The field that counts has a theta of its own, so the configuration's does not count.
  const within = { rope_type: "default", rope_theta: 500 };
  assert.notEqual(await hashOf(single({ ...config, rope_parameters: within })), await hashOf(single()));
});

test("the hash does not depend on the spelling of a GPT-NeoX's rotary embedding", async () => {
  const neox = { model_type: "gpt_neox", hidden_size: 2, vocab_size: 3 };
  const old = await hashOf(single({ ...neox, rotary_emb_base: 500, rotary_pct: 0.5 }));
  const rope_parameters = { rope_theta: 500, rope_type: "default", partial_rotary_factor: 0.5 };
  assert.equal(await hashOf(single({ ...neox, rope_parameters })), old);
  assert.notEqual(
    await hashOf(single({ ...neox, rope_parameters: { ...rope_parameters, partial_rotary_factor: 1 } })),
    old,
  );
});

test("a cached hash is used only while the file is unchanged", async () => {
  const cache = join(root, "cache", "hashes.json");
  const path = await single();
  const first = await modelHash(await openModelFolder(path), { cache });
  const text = await readFile(cache, "utf8");
  const forged = "0".repeat(64);
  await writeFile(cache, text.replace(first, forged));
  assert.equal(await modelHash(await openModelFolder(path), { cache }), forged, "the cache is read");

  await writeSafetensors(join(path, "model.safetensors"), new Map([...weights].slice(1)));
  const second = await modelHash(await openModelFolder(path), { cache });
  assert.notEqual(second, forged);
  assert.notEqual(second, first);

  await writeFile(cache, "{ damaged");
  assert.equal(await modelHash(await openModelFolder(path), { cache }), second);
  assert.equal(Object.keys(JSON.parse(await readFile(cache, "utf8"))).length, 1);
});

const bad: readonly [name: string, make: () => Promise<string>, code: string, message: RegExp][] = [
  ["a path that is not there", async () => join(root, "none"), "not_found", /none: no such folder/],
  ["a file", async () => join(await single(), "config.json"), "invalid_model", /is a file; a model is a folder/],
  [
    "a damaged GGUF file",
    async () => join(await folder({ "m.gguf": "" }), "m.gguf"),
    "invalid_model",
    /m\.gguf: the magic/,
  ],
  ["a folder with it", () => folder({ "m.gguf": "" }), "invalid_model", /m\.gguf: the magic/],
  [
    "a folder of two GGUF files",
    () => folder({ "a.gguf": "", "b.gguf": "" }),
    "invalid_model",
    /holds 2 GGUF files \(a/,
  ],
  ["an empty folder", () => folder({}), "invalid_model", /not a model's folder; looked for config\.json, model\.saf/],
  ["an adapter", () => folder({ "adapter_config.json": "{}" }), "invalid_model", /is a PEFT adapter, not a model/],
  ["no weights", () => folder({ "config.json": JSON.stringify(config) }), "invalid_model", /no weights; looked for/],
  [
    "a pickle",
    () => folder({ "config.json": JSON.stringify(config), "pytorch_model.bin": "" }),
    "unsupported",
    /pickle \(pytorch_model\.bin\).*convert it with python/,
  ],
  ["a config that is cut", () => folder({ "config.json": '{"a"' }), "invalid_model", /config\.json: is not valid JSON/],
  [
    "a config that is a list",
    () => folder({ "config.json": "[]" }),
    "invalid_model",
    /config\.json: is not a JSON obj/,
  ],
  ["a config without model_type", () => folder({ "config.json": "{}" }), "invalid_model", /model_type is missing/],
  [
    "a tensor with other values in a second shard",
    () => sharded(map, new Map([["model.norm.weight", tensor([2], 9)]])),
    "invalid_model",
    /b\.safetensors: tensor "model\.norm\.weight" differs from the one in a\.safetensors, which model\.safetensors\.index/,
  ],
  [
    "a configuration that is not UTF-8",
    () => folder({ "config.json": Buffer.from('{"note": "caf\xe9"}', "latin1") }),
    "invalid_model",
    /config\.json: is not valid UTF-8; save it as UTF-8/,
  ],
  [
    "a configuration that Git LFS has not fetched",
    () => folder({ "config.json": LFS_POINTER }),
    "invalid_model",
    /config\.json: is a pointer of Git LFS.*git lfs pull/,
  ],
  [
    "weights that Git LFS has not fetched",
    () => folder({ "config.json": JSON.stringify(config), "model.safetensors": LFS_POINTER }),
    "invalid_model",
    /model\.safetensors: is a pointer of Git LFS.*git lfs pull/,
  ],
  [
    "quantised weights",
    () => single({ ...config, quantization_config: { quant_method: "gptq" } }),
    "unsupported",
    /quant_method gptq/,
  ],
  ["weights that hold nothing", () => single(config, new Map()), "invalid_model", /hold no tensor/],
  [
    "cut weights",
    () =>
      folder({
        "config.json": JSON.stringify(config),
        "model.safetensors": encodeSafetensors(weights).subarray(0, -1),
      }),
    "invalid_model",
    /model\.safetensors: tensor "lm_head\.weight" ends at byte 56 of the data, but only 55/,
  ],
  [
    "an index without a map",
    () => folder({ "config.json": JSON.stringify(config), "model.safetensors.index.json": "{}" }),
    "invalid_model",
    /weight_map is not an object/,
  ],
  [
    "a shard outside the folder",
    () => sharded({ ...map, "lm_head.weight": "../m0/model.safetensors" }),
    "invalid_model",
    /"lm_head\.weight" is said to be in "\.\.\/m0\/model\.safetensors", which is not the name/,
  ],
  [
    "a shard that is missing",
    () => sharded({ ...map, "lm_head.weight": "c.safetensors" }),
    "invalid_model",
    /c\.safetensors: no such file, but model\.safetensors\.index\.json names it/,
  ],
  [
    "an index that names a tensor the shard has not",
    () => sharded({ ...map, "lm_head.weight": "b.safetensors" }),
    "invalid_model",
    /b\.safetensors: has no tensor "lm_head\.weight"/,
  ],
];
for (const [name, make, code, message] of bad) {
  test(`${name} is refused`, async () => {
    const path = await make();
    await assert.rejects(openModelFolder(path), { name: "KindredError", code, message });
  });
}

test("the error for an unknown tensor names it", async () => {
  await assert.rejects(readModelTensor(await openModelFolder(await single()), "x.y"), /has no tensor "x\.y"/);
});
