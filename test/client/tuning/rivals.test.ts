/** Choice margins against rivals, from downloaded logits, and how the sketches of the forms hang together. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { Meter, Programs } from "../../../client/tuning/programs.js";
import { sketchRows } from "../../../client/tuning/sketching.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type LogisticRows, ROW_TERMS } from "../../../shared/sketch/types.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
let programs: Programs;
let layout: AdapterLayout;
let start: AdapterValues;
before(async () => {
  programs = new Programs(runtime, await openBaseModel(asset("test", "fixtures", "llama", "tied")));
  layout = loraLayout(programs.model.architecture, { rank: 4, alpha: 8, modules: [], dropout: 0, freezeA: true });
  const rng = new SeededRng(1, "start");
  start = emptyAdapter(layout);
  for (const part of [start.frozen, start.trained]) for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
});
after(() => runtime.close());

const DIM = 24;
/** A row of so many choices, the right one in the middle. */
const row = (seed: number, choices: number): EncodedRow => {
  const rng = new SeededRng(seed, "row");
  const prompt = Array.from({ length: 4 + rng.int(6) }, () => 5 + rng.int(100));
  const tokens = Array.from({ length: choices }, (_, k) => Int32Array.of(7 + 11 * k + rng.int(11)));
  const answer = choices >> 1;
  return {
    tokens: Int32Array.from([...prompt, ...tokens[answer]!]),
    scored: Int32Array.of(prompt.length),
    choices: { promptLength: prompt.length, tokens, answer },
  };
};
const ROWS = [row(1, 2), row(2, 6), row(3, 4), row(4, 6), row(5, 3)];

const sketched = (rivals: number): Promise<LogisticRows> =>
  sketchRows(programs, layout, start, ROWS, { dim: DIM, seed: 5, rivals }, new Meter());

/** Logits of the row's choices behind its prompt. */
async function choiceLogits({ tokens, choices }: EncodedRow): Promise<number[]> {
  const all = await allLogits(programs, layout, start, { shape: [1, tokens.length], data: tokens }, new Meter());
  const vocabulary = all.length / tokens.length;
  return choices!.tokens.map(([first]) => all[(choices!.promptLength - 1) * vocabulary + first!]!);
}

const logSumExp = (values: readonly number[]): number => Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0));

test("each of the strongest rivals has a margin of its own and the others share one", async () => {
  for (const most of [1, 3, 8]) {
    const { example, term, margin } = await sketched(most);
    for (const [e, encoded] of ROWS.entries()) {
      const logits = await choiceLogits(encoded);
      const { answer } = encoded.choices!;
      const rivals = logits.filter((_, k) => k !== answer);
      if (rivals.length > most) rivals.sort((a, b) => b - a);
      const apart = rivals.length > most ? most - 1 : rivals.length;
      const wanted = rivals.slice(0, apart).map((z) => logits[answer]! - z);
      if (apart < rivals.length) wanted.push(logits[answer]! - logSumExp(rivals.slice(apart)));
      const got = margin.filter((_, r) => example[r] === e && term[r] === ROW_TERMS.choice);
      assert.equal(got.length, wanted.length);
      wanted.forEach((h, r) => {
        assert.ok(Math.abs(got[r]! - h) < 1e-4, `at most ${most}, row ${e}, rival ${r}: ${got[r]}, not ${h}`);
      });
    }
  }
});

test("the sketch against all rivals together is the mean of their sketches, weighted as the softmax of their logits", async () => {
  const [together, apart] = [await sketched(1), await sketched(8)];
  const choices = ({ example, term }: LogisticRows, e: number): number[] =>
    [...example.keys()].filter((r) => example[r] === e && term[r] === ROW_TERMS.choice);
  for (const e of ROWS.keys()) {
    const rivals = choices(apart, e);
    const total = logSumExp(rivals.map((r) => -apart.margin[r]!));
    const mean = new Float64Array(DIM);
    for (const r of rivals)
      for (let d = 0; d < DIM; d++) mean[d]! += Math.exp(-apart.margin[r]! - total) * apart.sketch[r * DIM + d]!;
    const at = choices(together, e)[0]! * DIM;
    const size = Math.hypot(...mean);
    assert.ok(size > 0);
    mean.forEach((x, d) => {
      assert.ok(Math.abs(x - together.sketch[at + d]!) < 1e-4 * size, `row ${e}, entry ${d}`);
    });
  }
});
