import assert from "node:assert/strict";
import test from "node:test";
import { agreementOf, type Compared } from "../../../../simulations/scenarios/estimates/agreement.js";

const close = (actual: number, wanted: number): void => assert.ok(Math.abs(actual - wanted) < 1e-12, `${actual}`);

/** Three datasets in pairs; the estimate of each is half of the truth, but for the last pair. */
const compared: Compared = {
  datasets: 3,
  subsets: [
    [0, 1],
    [0, 2],
    [1, 2],
  ],
  truth: [
    [1, 2],
    [2, 4],
    [4, 6],
  ],
  estimate: [
    [0.5, 1],
    [1, 2],
    [4, 6],
  ],
  alone: { truth: [1, 1, 1], estimate: [0.5, 0.5, 0.5] },
};

test("errors are means over datasets and subsets, as shares of the truth and in nats", () => {
  const { relativeError, error, subsetError } = agreementOf(compared);
  close(relativeError, (4 * 0.5) / 6);
  close(error, (0.5 + 1 + 1 + 2) / 6);
  close(subsetError, (2 * 0.5) / 3);
});

test("within datasets only deviations from each dataset's mean count", () => {
  // Truth about its means: 0: -0.5 0.5; 1: -1 1; 2: -1 1. Estimates: -0.25 0.25; -1.5 1.5; -2 2.
  close(agreementOf(compared).explainedWithin, 1 - (2 * 0.25 ** 2 + 2 * 0.5 ** 2 + 2 * 1) / (2 * 0.25 + 4));
  const shifted = compared.truth.map((losses, k) => losses.map((loss, at) => loss + 5 * compared.subsets[k]![at]!));
  const agreed = agreementOf({ ...compared, estimate: shifted });
  close(agreed.explainedWithin, 1);
  assert.ok(agreed.explained < 0);
});

test("affinities are ranked within rows: two others suffice to tell the better partner", () => {
  // Row i of T holds -f_i of its two pairs. Real: 0 prefers 1, 1 prefers 0, 2 prefers 0; so does the estimate.
  close(agreementOf(compared).rankOfAffinity, 1);
  const against = compared.truth.map((losses) => losses.map((loss) => -loss));
  close(agreementOf({ ...compared, estimate: against }).rankOfAffinity, -1);
  const alone = { truth: [1, 1, 1], estimate: [-1, -1, -1] };
  close(agreementOf({ ...compared, estimate: against, alone }).rankOfChange, -1);
  const uncovered = { ...compared, subsets: compared.subsets.slice(0, 2), truth: compared.truth.slice(0, 2) };
  assert.ok(Number.isNaN(agreementOf({ ...uncovered, estimate: compared.estimate.slice(0, 2) }).rankOfAffinity));
});
