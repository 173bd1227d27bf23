import assert from "node:assert/strict";
import { test } from "node:test";
import { Guesses } from "../../../shared/base/macro-f1.js";
import { SeededRng } from "../../../shared/base/random.js";
import { differenceOf, intervalOf, meanOf, RESAMPLES, resample } from "../../../simulations/report/intervals.js";
import type { Interval } from "../../../simulations/report/types.js";

const ROWS = 60;
/** True values of the synthetic rows. */
const LOSS = 0.7;
const GAIN = 0.1;
const ACCURACY = 0.8;

/** Rows of one to four tokens with exponential losses, under two methods: the second one loses `GAIN` per token more, with noise. */
function synthetic(k: number) {
  const rng = new SeededRng(k, "synthetic rows");
  const tokens = Array.from({ length: ROWS }, () => 1 + rng.int(4));
  const better = tokens.map((n) =>
    Array.from({ length: n }, () => -LOSS * Math.log(1 - rng.uniform())).reduce((sum, x) => sum + x, 0),
  );
  const worse = better.map((nll, r) => nll + GAIN * tokens[r]! + 0.2 * rng.normal());
  const answer = tokens.map(() => (rng.uniform() < ACCURACY ? 0 : 1));
  const methods = [better, worse].map((nll) => ({ nll, answer }));
  return { client: `client ${k}`, tokens, right: tokens.map(() => 0), methods };
}

const holds = ([low, high]: Interval, truth: number): boolean => low <= truth && truth <= high;
const narrowed = ([low, high]: Interval): Interval => [low + (high - low) / 4, high - (high - low) / 4];

// 400 cases. Were the true coverage 94 %, a count below 89 % or above 99 % of them would come by chance in 1 of 10,000 seeds
// (4.2 standard deviations of 1.2 %). Half as wide, intervals hold the truth in about 67 %.
test("95 % intervals hold the true loss, gain and accuracy in about 95 of 100 cases, and half as wide they do not", () => {
  const cases = 400;
  const held = { loss: 0, gain: 0, accuracy: 0, half: 0 };
  for (let k = 0; k < cases; k++) {
    const [better, worse] = resample(synthetic(k), 1)!;
    const loss = intervalOf(better!.loss);
    held.loss += Number(holds(loss, LOSS));
    held.half += Number(holds(narrowed(loss), LOSS));
    held.gain += Number(holds(intervalOf(differenceOf(worse!.loss, better!.loss)), GAIN));
    held.accuracy += Number(holds(intervalOf(better!.accuracy!), ACCURACY));
  }
  for (const key of ["loss", "gain", "accuracy"] as const) {
    const share = held[key] / cases;
    assert.ok(share > 0.89 && share < 0.99, `${key}: ${share}`);
  }
  assert.ok(held.half / cases < 0.8, `half as wide: ${held.half / cases}`);
});

test("the interval of a paired gain is far narrower than that of unpaired scores", () => {
  const [better, worse] = resample(synthetic(0), 1)!;
  const [other] = resample({ ...synthetic(0), client: "other draws" }, 1)!;
  const width = ([low, high]: Interval): number => high - low;
  const paired = width(intervalOf(differenceOf(worse!.loss, better!.loss)));
  const unpaired = width(intervalOf(differenceOf(worse!.loss, other!.loss)));
  assert.ok(paired < unpaired / 3, `${paired} against ${unpaired}`);
});

test("the deviation of resampled means is that of the standard error, and of means over clients by the square root", () => {
  const rng = new SeededRng(3, "rows");
  const nll = Array.from({ length: 200 }, () => 2 + 0.5 * rng.normal());
  const rows = (client: string) => ({
    client,
    tokens: nll.map(() => 1),
    right: nll.map(() => -1),
    methods: [{ nll, answer: nll.map(() => -1) }],
  });
  const deviation = (values: Float64Array): number => {
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  };
  const expected = deviation(Float64Array.from(nll)) / Math.sqrt(nll.length);
  const drawn = ["a", "b", "c", "d"].map((client) => resample(rows(client), 1)![0]!);
  // The relative error of a deviation of 1,000 draws is 1 / sqrt(2,000): four times that is 9 %.
  assert.ok(Math.abs(deviation(drawn[0]!.loss) / expected - 1) < 0.09);
  assert.ok(Math.abs(deviation(meanOf(drawn.map(({ loss }) => loss))) / (expected / 2) - 1) < 0.09);
  assert.equal(drawn[0]!.accuracy, undefined);
  assert.equal(drawn[0]!.loss.length, RESAMPLES);
  assert.deepEqual(drawn[0]!.rowLoss, drawn[0]!.loss);
});

test("percentiles are linear between neighbours, as NumPy's", () => {
  // numpy.percentile(numpy.arange(10), [2.5, 97.5])
  const [low, high] = intervalOf(Float64Array.of(3, 1, 2, 0, 9, 8, 7, 6, 5, 4));
  assert.ok(Math.abs(low - 0.225) < 1e-12 && Math.abs(high - 8.775) < 1e-12);
});

test("one row gives no interval, and the same seed the same one", () => {
  const one = { ...synthetic(0), tokens: [1], right: [0], methods: [{ nll: [0.4], answer: [0] }] };
  assert.equal(resample(one, 1), undefined);
  const [first] = resample(synthetic(0), 1)!;
  assert.deepEqual(resample(synthetic(0), 1)![0], first);
  assert.notDeepEqual(resample(synthetic(0), 2)![0], first);
});

test("the mean of the resamples of macro-F1 is macro-F1 itself, though drawn rows lack classes", () => {
  const rng = new SeededRng(9, "answers");
  const right = Array.from({ length: 20 }, () => rng.int(6));
  const answer = right.map((label) => (rng.uniform() < 0.6 ? label : rng.int(6)));
  const nll = right.map(() => 1);
  const [drawn] = resample({ client: "one", tokens: nll, right, methods: [{ nll, answer }] }, 1)!;
  const mean = drawn!.macroF1!.reduce((sum, x) => sum + x, 0) / RESAMPLES;
  assert.ok(Math.abs(mean - new Guesses(right, answer).macroF1()) < 1e-9);
});
