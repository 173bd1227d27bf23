/** The first-order expansion along a way of a tiny real model: its slope, how its error falls, and what a change of weights is. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../../client/data/types.js";
import { openBaseModel } from "../../../../client/models/base.js";
import {
  type AdapterLayout,
  type AdapterValues,
  adapterTensors,
  initialAdapter,
} from "../../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../../client/tuning/compiled-graphs.js";
import { adapterLayout } from "../../../../client/tuning/kinds.js";
import type { LoraLayout } from "../../../../client/tuning/lora.js";
import { scoreMixtures } from "../../../../client/tuning/scoring.js";
import { sketchRows } from "../../../../client/tuning/sketching.js";
import type { AdapterSettings } from "../../../../shared/adapters/settings.js";
import { SeededRng } from "../../../../shared/base/random.js";
import { OnnxRuntime } from "../../../../shared/runtimes/onnx/runtime.js";
import { ROW_TERMS } from "../../../../shared/sketch/types.js";
import {
  alongWay,
  type Expansion,
  expandAlong,
  sketcher,
  weightChange,
} from "../../../../simulations/scenarios/gradients/expansion.js";
import { eachGradient, hasMargin } from "../../../../simulations/scenarios/gradients/linearisation.js";
import { choicesOf } from "../../../support/choices.js";
import { TINY_MODEL } from "../../../support/tiny.js";

const runtime = new OnnxRuntime({ threads: 1 });
const compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(TINY_MODEL));
after(async () => {
  await compiledGraphs.close();
  await runtime.close();
});

const LORA: AdapterSettings = {
  kind: "lora",
  rank: 4,
  alpha: 8,
  modules: [],
  dropout: 0,
  freezeA: false,
  rslora: false,
};
const SETTINGS: Readonly<Record<string, AdapterSettings>> = {
  "LoRA with A frozen": { ...LORA, freezeA: true },
  "LoRA with A trained": LORA,
  Houlsby: { kind: "houlsby", reduction: 4, activation: "gelu", dropout: 0, freezeA: false },
};

const rows = [6, 9, 9, 12].map((length, i): EncodedRow => {
  const rng = new SeededRng(i, "row");
  const tokens = Int32Array.from({ length }, () => rng.int(96));
  // The last has two scored tokens and no choices.
  if (i === 3) return { tokens, scored: Int32Array.of(length - 2, length - 1) };
  const others = [1, 2].map((k) => Int32Array.of((tokens[length - 1]! + k) % 96));
  const choices = choicesOf(length - 1, [others[0]!, tokens.slice(-1), others[1]!], 1);
  return { tokens, scored: Int32Array.of(length - 1), choices };
});

/** Fresh values, and values a little away from them in every number. */
function way(layout: AdapterLayout, size: number) {
  const start = initialAdapter(layout, 3);
  const rng = new SeededRng(4, "way");
  const tuned: AdapterValues = { ...start, trained: start.trained.map((value) => value + size * rng.normal()) };
  return { start, tuned };
}

const expand = (layout: AdapterLayout, size: number, shares: number[]): Promise<Expansion[]> => {
  const given = { ...way(layout, size), shares, probe: 0.05, sketch: { dim: 64, seed: 1 } };
  return expandAlong({ compiledGraphs, layout, meter: new Meter() }, given, rows);
};

for (const [name, settings] of Object.entries(SETTINGS)) {
  test(`${name}: the slope equals the finite difference, and half the step gives a quarter of the error`, async () => {
    const layout = adapterLayout(compiledGraphs.model, settings);
    const expansions = await expand(layout, 0.03, [0.5, 1]);
    assert.deepEqual(expansions.map(({ row, margin }) => `${row} ${margin}`).sort(), [
      "0 answer",
      "0 choice",
      "1 answer",
      "1 choice",
      "2 answer",
      "2 choice",
      "3 answer",
    ]);
    const scale = Math.max(...expansions.map(({ slope }) => Math.abs(slope)));
    assert.ok(scale > 0.01);
    const errors = { linear: [0, 0], logits: [0, 0], none: [0, 0] };
    for (const { start, slope, differenceSlope, values, ofLinearLogits } of expansions) {
      assert.ok(Math.abs(slope - differenceSlope) < 0.005 * scale, `${slope}, not ${differenceSlope}`);
      [0.5, 1].forEach((share, k) => {
        errors.linear[k]! += (start + share * slope - values[k]!) ** 2;
        errors.logits[k]! += (ofLinearLogits[k]! - values[k]!) ** 2;
        errors.none[k]! += (start - values[k]!) ** 2;
      });
    }
    const ratio = ([half, whole]: number[]): number => Math.sqrt(whole! / half!);
    for (const order of [ratio(errors.linear), ratio(errors.logits)]) assert.ok(order > 3.6 && order < 4.4, `${order}`);
    // The control: without a slope the error falls as the step does.
    assert.ok(ratio(errors.none) < 3);
  });
}

test("the logistic losses of margins are the scores: -log p of the answer where it is one token", async () => {
  const layout = adapterLayout(compiledGraphs.model, LORA);
  const given = way(layout, 0.1);
  const expansions = await expand(layout, 0.1, [1]);
  for (const [at, row] of rows.slice(0, 3).entries()) {
    const { choices: _, ...plain } = row;
    const [score] = await scoreMixtures(compiledGraphs, { layout, members: [alongWay(given, 1)] }, [[1]], [plain], {
      meter: new Meter(),
    });
    const [h] = expansions.find((one) => one.row === at && one.margin === "answer")!.values;
    assert.ok(Math.abs(Math.log1p(Math.exp(-h!)) - score!.nllSum) < 1e-4);
  }
});

test("sketches of these gradients equal the sketches of a client", async () => {
  const layout = adapterLayout(compiledGraphs.model, LORA);
  const { start } = way(layout, 0);
  const sketch = sketcher(layout, { dim: 64, seed: 1 });
  const meter = new Meter();
  for (const [margin, negatives, term] of [
    ["answer", 0, ROW_TERMS.answer],
    ["choice", 1, ROW_TERMS.choice],
  ] as const) {
    const own = rows.filter((row) => hasMargin(row, margin));
    const made = await sketchRows(
      compiledGraphs,
      { layout, values: start },
      own,
      { dim: 64, seed: 1, negatives },
      { meter },
    );
    const places = [...made.term.keys()].filter((at) => made.term[at] === term);
    assert.equal(places.length, own.length);
    await eachGradient({ compiledGraphs, layout, meter }, start, own, margin, (i, h, gradient) => {
      const at = places[i]!;
      assert.ok(Math.abs(h - made.margin[at]!) < 1e-5);
      const theirs = made.sketch.subarray(at * 64, (at + 1) * 64);
      const size = Math.hypot(...theirs);
      assert.ok(size > 0);
      sketch(gradient).forEach((value, k) => {
        assert.ok(Math.abs(value - theirs[k]!) < 1e-5 * size);
      });
    });
  }
});

test("a LoRA's change of the weights is the norm of s B A", () => {
  const layout = adapterLayout(compiledGraphs.model, LORA) as LoraLayout;
  const { tuned } = way(layout, 0.1);
  const tensors = adapterTensors(layout, tuned);
  let sum = 0;
  for (const linear of layout.linears) {
    const a = tensors.get(`${linear.name}.lora_A.weight`)!.data;
    const b = tensors.get(`${linear.name}.lora_B.weight`)!.data;
    for (let i = 0; i < linear.out; i++) {
      for (let j = 0; j < linear.in; j++) {
        let product = 0;
        for (let k = 0; k < 4; k++) product += b[i * 4 + k]! * a[k * linear.in + j]!;
        sum += (2 * product) ** 2;
      }
    }
  }
  assert.ok(Math.abs(weightChange(layout, tuned) / Math.sqrt(sum) - 1) < 1e-6);
});
