/** Conversion of a GGUF's metadata and rows to Hugging Face's format, for cases that the fixture file lacks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Architecture } from "../../../client/models/architecture.js";
import { readArchitecture } from "../../../client/models/families.js";
import { singleText, TokenPositions } from "../../../client/models/positions.js";
import type { GgufTensor, GgufValue } from "../../../shared/models/gguf.js";
import { deinterleaved, ggufModel } from "../../../shared/models/gguf-names.js";

const METADATA: Readonly<Record<string, GgufValue>> = {
  "general.architecture": "llama",
  "llama.block_count": 1,
  "llama.context_length": 128,
  "llama.embedding_length": 16,
  "llama.feed_forward_length": 32,
  "llama.attention.head_count": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.vocab_size": 10,
};

function modelOf(fields: Readonly<Record<string, GgufValue>>, names: readonly string[] = [], factors?: Float32Array) {
  const tensor: GgufTensor = { dtype: "F32", shape: [1], offset: 0, byteLength: 4 };
  const tensors = new Map(names.map((name) => [name, tensor]));
  const metadata = new Map(Object.entries({ ...METADATA, ...fields }));
  return ggufModel({ path: "m.gguf", byteLength: 0, metadata, tensors }, factors);
}

const linear = ({ linears }: Architecture, part: string) => linears.find(({ name }) => name.endsWith(part))!;

/** Radians per position, from the table of sines. All are at most 1. */
function frequenciesOf({ positionTables }: Architecture): number[] {
  const sines = positionTables
    .find(({ name }) => name === "sin")!
    .values(new TokenPositions([singleText(new Int32Array(2))]));
  return Array.from(sines.subarray(sines.length / 2), Math.asin);
}

function assertNear(got: readonly number[], want: readonly number[]): void {
  assert.equal(got.length, want.length);
  for (const [i, x] of want.entries()) assert.ok(Math.abs(got[i]! - x) <= 1e-6 * x, `${got[i]}, should be ${x}`);
}

test("missing metadata has llama.cpp's defaults", () => {
  const architecture = readArchitecture(modelOf({}).config);
  assert.equal(linear(architecture, "k_proj").out, 16);
  assert.equal(architecture.weights.has("lm_head.weight"), false);
  assertNear(frequenciesOf(architecture).slice(1, 2), [10000 ** (-2 / 8)]);
});

test("the tensors show whether there are an output head and biases", () => {
  const architecture = readArchitecture(modelOf({}, ["output.weight", "blk.0.attn_q.bias"]).config);
  assert.equal(architecture.weights.has("lm_head.weight"), true);
  assert.equal(linear(architecture, "q_proj").bias, true);
  assert.equal(linear(architecture, "up_proj").bias, false);
});

test("rotary frequencies are divided by the file's factors", () => {
  const plain = frequenciesOf(readArchitecture(modelOf({}).config));
  const scaled = frequenciesOf(readArchitecture(modelOf({}, [], Float32Array.of(1.25, 2, 4, 8)).config));
  assertNear(scaled.slice(1), [plain[1]! / 2, plain[2]! / 4, plain[3]! / 8]);
  assertNear(scaled.slice(0, 1), [0.8]);
});

test("linear scaling is Hugging Face's; factors that do not fit the heads, and YaRN, are refused", () => {
  const scaled = modelOf({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 });
  assertNear(frequenciesOf(readArchitecture(scaled.config)).slice(0, 1), [0.25]);
  const yarn = modelOf({ "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4 });
  assert.throws(() => readArchitecture(yarn.config), { code: "unsupported", message: /rope scaling "yarn"/ });
  const short = modelOf({}, [], Float32Array.of(1, 2));
  assert.throws(() => readArchitecture(short.config), { code: "unsupported", message: /rope scaling "factors"/ });
});

test("a factor without a type, and by its older name, scales linearly, as in llama.cpp; the type none switches it off", () => {
  const first = (fields: Readonly<Record<string, GgufValue>>): number[] =>
    frequenciesOf(readArchitecture(modelOf(fields).config)).slice(0, 1);
  assertNear(first({ "llama.rope.scaling.factor": 4 }), [0.25]);
  assertNear(first({ "llama.rope.scale_linear": 2 }), [0.5]);
  assertNear(first({ "llama.rope.scale_linear": 1 }), [1]);
  assertNear(first({ "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4 }), [1]);
  assert.throws(() => modelOf({ "llama.rope.scaling.factor": 4 }, [], Float32Array.of(1, 2, 4, 8)), {
    code: "unsupported",
    message: /by rope_freqs\.weight and by llama\.rope\.scaling \("linear"\) too/,
  });
});

test("fields that may change the result and are not read are refused by name, unless they are off", () => {
  assert.doesNotThrow(() => modelOf({ "llama.expert_count": 0, "llama.rope.scaling.finetuned": true }));
  for (const [key, value] of [
    ["llama.logit_scale", 0.5],
    ["llama.attn_logit_softcapping", 50],
    ["llama.attention.sliding_window", 8],
    ["llama.expert_count", 8],
  ] as const) {
    assert.throws(() => modelOf({ [key]: value }), {
      code: "unsupported",
      message: `m.gguf: metadata ${key} is ${value}; it may change the result and is not supported`,
    });
  }
  assert.throws(() => modelOf({ "llama.attention.causal": false }), {
    code: "unsupported",
    message: /causal is false/,
  });
});

test("one part of a split model is refused", () => {
  assert.throws(() => modelOf({ "split.count": 3 }), { code: "unsupported", message: /part of a split model/ });
});

test("rows of adjacent pairs become rows of halves, head by head", () => {
  // Two heads of 4 rows, each row twice its number: first elements of the pairs, then the second ones.
  const rows = Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7].flatMap((row) => [row, row]));
  const order = [0, 2, 1, 3, 4, 6, 5, 7];
  assert.deepEqual(
    [...deinterleaved(rows, 8, 2)],
    order.flatMap((row) => [row, row]),
  );
});
