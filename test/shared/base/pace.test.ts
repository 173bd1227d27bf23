/** The time left, on stages whose end is known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace, roughly } from "../../../shared/base/pace.js";

test("nothing is said of the time left before the pace is known", () => {
  const pace = new Pace(0, 0);
  assert.equal(pace.leftMs(60_000), undefined);
  pace.reached(0.01, 60_000);
  assert.equal(pace.leftMs(60_000), undefined, "one percent");
  pace.reached(0.5, 60_500);
  assert.notEqual(pace.leftMs(60_500), undefined);
  const quick = new Pace(0, 0);
  quick.reached(0.5, 1_000);
  assert.equal(quick.leftMs(1_000), undefined, "one second");
});

test("at an even pace the time left is what is left, at each step and between steps", () => {
  const pace = new Pace(0, 0);
  for (let second = 1; second < 100; second++) {
    pace.reached(second / 100, 1_000 * second);
    if (second < 2) continue;
    for (const more of [0, 400, 900]) {
      assert(
        Math.abs((pace.leftMs(1_000 * second + more) as number) - (100_000 - 1_000 * second - more)) < 1,
        `${second}`,
      );
    }
  }
});

test("a slow beginning is forgotten", () => {
  const pace = new Pace(0, 0);
  // 30 s for the first of a hundred steps, then one each second: 99 s in all.
  for (let step = 1; step < 100; step++) pace.reached(step / 100, 30_000 + 1_000 * (step - 1));
  const left = pace.leftMs(128_000) as number;
  assert(Math.abs(left - 1_000) < 50, `${left}`);
  const half = new Pace(0, 0);
  for (let step = 1; step <= 50; step++) half.reached(step / 100, 30_000 + 1_000 * (step - 1));
  assert(Math.abs((half.leftMs(79_000) as number) - 50_000) < 2_000);
});

test("what an earlier process did tells nothing of the pace of this one", () => {
  const pace = new Pace(0.9, 0);
  for (let second = 1; second <= 5; second++) pace.reached(0.9 + second / 100, 1_000 * second);
  assert(Math.abs((pace.leftMs(5_000) as number) - 5_000) < 1);
});

test("where nothing happens any more, the time left grows again, and it is never below zero", () => {
  const pace = new Pace(0, 0);
  for (let second = 1; second <= 50; second++) pace.reached(second / 100, 1_000 * second);
  assert(Math.abs((pace.leftMs(50_000) as number) - 50_000) < 1);
  assert((pace.leftMs(110_000) as number) > 100_000);
  pace.reached(1, 111_000);
  assert.equal(pace.leftMs(111_000), 0);
});

test("shares that fall or repeat are no progress, and many samples are no burden", () => {
  const pace = new Pace(0, 0);
  for (let step = 1; step <= 100_000; step++) {
    pace.reached(step / 200_000, step);
    pace.reached(step / 400_000, step);
  }
  assert(Math.abs((pace.leftMs(100_000) as number) - 100_000) < 1_000);
});

test("times are rounded as far as they are known", () => {
  const words: [number, string][] = [
    [0, "about 5 s"],
    [1_000, "about 5 s"],
    [38_000, "about 40 s"],
    [57_400, "about 55 s"],
    [58_000, "about 1 min"],
    [100_000, "about 2 min"],
    [17 * 60_000, "about 15 min"],
    [100 * 60_000, "about 2 h"],
    [30 * 3_600_000, "about 30 h"],
  ];
  for (const [ms, text] of words) assert.equal(roughly(ms), text);
});
