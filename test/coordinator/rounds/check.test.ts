/** What clients send, held against an adapter's specification and against what their steps can have done. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventLoopYield } from "../../../coordinator/algebra/yield.js";
import { checkValues, specError, type UpdateSteps } from "../../../coordinator/rounds/check.js";
import { tensorsInMemory } from "../../../coordinator/strategies/tensors.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";

const spec = {
  kind: "lora",
  rank: 2,
  alpha: 4,
  modules: ["attn.c_proj"],
  dropout: 0,
  initSeed: 1,
  freezeA: true,
  rslora: false,
} as const;
const pair = (linear: string, rank = 2): [string, FloatTensor][] => [
  [`${linear}.lora_A.weight`, { shape: [rank, 3], data: new Float32Array(rank * 3) }],
  [`${linear}.lora_B.weight`, { shape: [4, rank], data: new Float32Array(4 * rank) }],
];

test("a module of the specification is a linear's name or its end after a dot, as PEFT has it", () => {
  assert.equal(specError(new Map(pair("transformer.h.0.attn.c_proj")), spec), undefined);
  for (const linear of ["transformer.h.0.mlp.c_proj", "transformer.h.0.crossattn.c_proj", "c_proj"]) {
    assert.match(specError(new Map(pair(linear)), spec) ?? "", /c_proj\.lora_A\.weight is not part of the adapter/);
  }
  assert.equal(specError(new Map(pair("transformer.h.0.mlp.c_fc")), { ...spec, modules: [] }), undefined);
});

test("a bottleneck adapter is whole, of its kind's places and of its width", () => {
  const settings = {
    kind: "pfeiffer",
    reduction: 3,
    activation: "relu",
    dropout: 0,
    freezeA: true,
    initSeed: 1,
  } as const;
  const tensor = (...shape: number[]): FloatTensor => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)),
  });
  const of = (block: string, site = "output"): [string, FloatTensor][] => [
    [`${block}.${site}_adapters.adapter_down.0.weight`, tensor(2, 7)],
    [`${block}.${site}_adapters.adapter_down.0.bias`, tensor(2)],
    [`${block}.${site}_adapters.adapter_up.weight`, tensor(7, 2)],
    [`${block}.${site}_adapters.adapter_up.bias`, tensor(7)],
  ];
  const whole = new Map([...of("h.0"), ...of("h.1")]);
  assert.equal(specError(whole, settings), undefined);
  assert.match(specError(whole, { ...settings, kind: "houlsby" }) ?? "", /h\.0\.attention_adapters.* is missing/);
  assert.match(specError(whole, { ...settings, reduction: 2 }) ?? "", /has shape \[2, 7\]; expected \[3, 7\]/);
  assert.match(specError(new Map(of("h.0", "attention")), settings) ?? "", /is not part of the adapter/);
  assert.match(specError(new Map(pair("h.0.attn.c_proj")), settings) ?? "", /is not part of the adapter/);
  assert.match(specError(whole, spec) ?? "", /adapter_down\.0\.weight is not part of the adapter/);
});

test("half a pair, another rank, and no tensors at all are flaws", () => {
  const [a] = pair("h.0.attn.c_proj");
  assert.match(specError(new Map([a!]), spec) ?? "", /lacks the tensor h\.0\.attn\.c_proj\.lora_B\.weight/);
  assert.match(specError(new Map(pair("h.0.attn.c_proj", 3)), spec) ?? "", /should have rank 2/);
  assert.match(specError(new Map(), spec) ?? "", /no tensors/);
});

const b = (...values: number[]): Map<string, FloatTensor> =>
  new Map([["h.lora_B.weight", { shape: [values.length, 1], data: Float32Array.from(values) }]]);

/** Why values are refused, in chunks of three; nothing where they are sound. */
async function refusal(values: NamedTensors, start: NamedTensors, steps?: UpdateSteps): Promise<string | undefined> {
  const found = await checkValues({
    values: tensorsInMemory(values),
    start: tensorsInMemory(start),
    steps,
    yieldToEventLoop: eventLoopYield(),
    chunkValues: 3,
  });
  return "reason" in found ? found.reason : undefined;
}

test("values that so many steps of AdamW cannot have reached are refused, those that gradients of any kind lead to are not", async () => {
  const training = { learningRate: 0.01, weightDecay: 0, steps: 40 };
  // The worst gradients for the bound: small ones first, then ever larger ones, which the second moment lags behind.
  for (const growth of [1, 1.05, 1.2, 1.5, 3, 10]) {
    let [value, m, v, gradient] = [0.5, 0, 0, 1e-12];
    for (let step = 1; step <= training.steps; step++) {
      gradient *= growth;
      m = 0.9 * m + 0.1 * gradient;
      v = 0.999 * v + 0.001 * gradient ** 2;
      value += (training.learningRate * (m / (1 - 0.9 ** step))) / Math.sqrt(v / (1 - 0.999 ** step));
    }
    assert.equal(await refusal(b(value, -0.5), b(0.5, -0.5), training), undefined, `gradients that grow by ${growth}`);
  }
  assert.match(
    (await refusal(b(0.5, 0, 0, 0, 2.6), b(0.5, 0, 0, 0, -0.5), training)) ?? "",
    /h\.lora_B\.weight holds 2\.5\d* at element 4, farther from its start than 40 steps at a learning rate of 0\.01 can/,
  );
  assert.equal(await refusal(b(0.9), new Map(), training), undefined, "a fresh value that is not known");
  assert.match((await refusal(b(5), new Map(), training)) ?? "", /holds 5 at element 0/);
  assert.equal(await refusal(b(5), new Map()), undefined, "a start of which nothing is known bounds nothing");
});

test("a value that is not finite is refused, with or without a bound", async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.match((await refusal(b(0, 0, 0, value), b(0, 0, 0, 0))) ?? "", new RegExp(`holds ${value} at element 3`));
  }
});

test("weight decay may take a value back to zero and no farther", async () => {
  const training = { learningRate: 0.01, weightDecay: 1, steps: 10 };
  assert.equal(await refusal(b(100 * 0.99 ** 10), b(100), training), undefined);
  assert.match((await refusal(b(80), b(100), training)) ?? "", /holds 80 at element 0/);
});

test("the squared distance is over the tensors whose start is known, and does not depend on where chunks end", async () => {
  const ended = Array.from({ length: 10 }, (_, i) => Math.sin(i) / 3);
  const values = new Map([...b(...ended), ["h.lora_A.weight", { shape: [1, 1], data: Float32Array.of(7) }] as const]);
  const start = b(...ended.map((value) => value / 7));
  const distances = new Set<number>();
  for (const chunkValues of [1, 3, 100]) {
    const found = await checkValues({
      values: tensorsInMemory(values),
      start: tensorsInMemory(start),
      yieldToEventLoop: eventLoopYield(),
      chunkValues,
    });
    assert.ok("squaredDistance" in found);
    distances.add(found.squaredDistance);
  }
  const [distance, ...others] = distances;
  assert.deepEqual(others, []);
  const expected = ended.reduce((sum, value) => sum + (value - value / 7) ** 2, 0);
  assert.ok(Math.abs(distance! - expected) < 1e-6, `${distance}, should be ${expected}`);
});
