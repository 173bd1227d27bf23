/** Progress in a log, with time that passes only when the test lets it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgressLines } from "../../../shared/base/progress-lines.js";
import { VirtualTime } from "../../support/virtual-time.js";

function recording() {
  const time = new VirtualTime();
  const lines: string[] = [];
  const fields: object[] = [];
  const progress = createProgressLines({
    say: (name, words, given) => {
      lines.push(`${name}: ${words}`);
      fields.push(given);
    },
    clock: time.now,
    every: time.every,
  });
  const pass = async (ms: number): Promise<void> => {
    const passed = time.sleep(ms);
    await time.pass();
    await passed;
  };
  return { progress, lines, fields, pass };
}

test("a stage has a line now and then, with the time left once it is known, and one at its end", async () => {
  const { progress, lines, fields, pass } = recording();
  const stage = progress.stage("train shared", 32, {});
  for (let round = 1; round <= 32; round++) {
    stage.tick(0, { round: `${round}/32`, loss: 1 / 3 });
    await pass(1_000);
    stage.tick(1, { round: `${round}/32`, loss: 1 / 3 });
  }
  stage.done();
  stage.done();
  stage.tick();
  assert.deepEqual(lines, [
    "train shared: 28 %, round 10/32, loss 0.333, about 20 s left",
    "train shared: 59 %, round 20/32, loss 0.333, about 10 s left",
    "train shared: 90 %, round 30/32, loss 0.333, about 5 s left",
    "train shared: round 32/32, loss 0.333, 32 s",
  ]);
  assert.deepEqual(fields[0], {
    state: "running",
    percent: 28,
    round: "10/32",
    loss: 1 / 3,
    seconds: 10,
    secondsLeft: 22,
  });
  assert.deepEqual(fields.at(-1), { state: "done", round: "32/32", loss: 1 / 3, seconds: 32 });
});

test("a stage of a day has a few hundred lines, though it ticks each second, and each comes in time", async () => {
  const { progress, lines, pass } = recording();
  const stage = progress.stage("train", 86_400);
  for (let second = 0; second < 86_400; second++) {
    await pass(1_000);
    stage.tick();
  }
  stage.done();
  assert(lines.length > 100 && lines.length < 250, `${lines.length}`);
});

test("a stage without a total says what it does and for how long, also while nothing ticks", async () => {
  const { progress, lines, pass } = recording();
  let missing: string | undefined;
  const stage = progress.stage("search groups", 0, { note: () => missing });
  stage.tick(3, { groupings: 3 });
  await pass(11_000);
  missing = "waiting for harbour";
  await pass(10_000);
  stage.drop();
  assert.deepEqual(lines, [
    "search groups: groupings 3, 10 s so far",
    "search groups: groupings 3, waiting for harbour, 20 s so far",
  ]);
});

test("where the job ends before a stage, the stage is said to be stopped, and nothing comes later", async () => {
  const { progress, lines, pass } = recording();
  const stage = progress.stage("train", 4);
  stage.tick(2);
  progress.close();
  stage.tick();
  stage.done();
  await pass(60_000);
  assert.deepEqual(lines, ["train: 50 %, stopped"]);
});

test("where people are waited for, no time left is told", async () => {
  const { progress, lines, pass } = recording();
  const stage = progress.stage("wait for clients", 2, { paced: false });
  await pass(5_000);
  stage.tick();
  await pass(6_000);
  assert.deepEqual(lines, ["wait for clients: 50 %, 10 s so far"]);
  progress.close();
});
