/** What a client's display is told of its work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TaskIo, TaskRunner } from "../../../client/session/session.js";
import { NarratedRunner } from "../../../client/tasks/narrated.js";
import type { Progress, StageOptions } from "../../../shared/base/progress.js";
import type { TaskSpec, UnsentResult } from "../../../tasks/kinds.js";
import type { TrainAdapter } from "../../../tasks/train-adapter/message.js";
import { ADAPTER, evaluateTask, trainTask } from "../../support/federation.js";

const cost = { flops: 0, computeSeconds: 0, peakRssBytes: 0 };

/** The steps of one round of a training of ten steps. */
function round(firstStep: number, steps: number, learningRate = 1e-3): TrainAdapter {
  const task = trainTask(undefined, steps);
  return { ...task, training: { ...task.training, firstStep, totalSteps: 10, learningRate } };
}

function recording() {
  const calls: string[] = [];
  const notes: StageOptions["note"][] = [];
  const progress: Progress = {
    stage(name, total, { from = 0, note } = {}) {
      notes.push(note);
      calls.push(`${name} of ${total} from ${from}`);
      return {
        tick: (n = 1, info) => calls.push(`${name} +${n.toFixed(2)} ${JSON.stringify(info)}`),
        done: (info) => calls.push(`${name} done ${JSON.stringify(info)}`),
        drop: () => calls.push(`${name} dropped`),
      };
    },
    close() {},
  };
  const since = (): string[] => calls.splice(0);
  return { progress, since, note: () => notes.at(-1)?.() };
}

/** Halves a task by its progress; losses fall from 2 by a tenth per step. */
const halves: TaskRunner = {
  async run(task: TaskSpec, io: TaskIo): Promise<UnsentResult> {
    io.progress(0.5);
    if (task.kind === "evaluate") {
      const score = { nllSum: 3, tokens: 2, examples: 1, correct: 0, choiceRows: 0 };
      return { kind: "evaluate", scores: task.mixtures.map(() => score), cost };
    }
    if (task.kind !== "trainAdapter") throw new Error("not of this test");
    const { firstStep, steps } = task.training;
    const losses = Array.from({ length: steps }, (_, at) => 2 - (firstStep + at) / 10);
    return { kind: "trainAdapter", values: { tensors: new Map() }, losses, examples: 5, validation: [], cost };
  },
};

const io = (): TaskIo => ({
  download: () => Promise.reject(new Error("nothing to download")),
  signal: new AbortController().signal,
  progress: () => undefined,
});

test("the rounds of a training are one stage, with the client's own losses and what it has sent", async () => {
  const { progress, since, note } = recording();
  const runner = new NarratedRunner(halves, progress);
  assert.deepEqual(since(), ["wait of 0 from 0"]);
  await runner.run(round(0, 4), io());
  assert.equal(note(), "waiting for the others");
  runner.sent(round(0, 4), 1_000);
  await runner.run(round(4, 6), io());
  runner.sent(round(4, 6), 2_500);
  assert.deepEqual(since(), [
    "wait dropped",
    "train adapter of 1 from 0",
    "train adapter +0.20 {}",
    'train adapter +0.20 {"steps":"4/10","loss":"2 to 1.7","updates sent":"1.00 kB"}',
    'train adapter +0.30 {"steps":"4/10","loss":"2 to 1.7","updates sent":"1.00 kB"}',
    'train adapter +0.30 {"steps":"10/10","loss":"2 to 1.1","updates sent":"3.50 kB"}',
    'train adapter done {"loss":"2 to 1.1","updates sent":"3.50 kB"}',
    "wait of 0 from 0",
  ]);
});

test("a training that goes on without the client ends where the next one begins", async () => {
  const { progress, since } = recording();
  const runner = new NarratedRunner(halves, progress);
  await runner.run(round(0, 4), io());
  runner.sent(round(0, 4), 10);
  since();
  await runner.run(round(2, 2, 1e-4), io());
  assert.deepEqual(since().slice(0, 2), [
    'train adapter done {"loss":"2 to 1.7","updates sent":"10 B"}',
    "train adapter of 1 from 0.2",
  ]);
});

test("a client that joins a training in its middle counts from there", async () => {
  const { progress, since } = recording();
  const runner = new NarratedRunner(halves, progress);
  await runner.run(round(5, 5), io());
  assert.deepEqual(since().slice(2), ["train adapter of 1 from 0.5", "train adapter +0.25 {}"]);
});

test("another task is a stage of its own; what fails is dropped, and the session sees the same", async () => {
  const { progress, since } = recording();
  const shares: number[] = [];
  const runner = new NarratedRunner(halves, progress);
  since();
  const result = await runner.run(evaluateTask(), { ...io(), progress: (share) => shares.push(share) });
  assert.equal(result.kind, "evaluate");
  assert.deepEqual(shares, [0.5]);
  runner.sent(evaluateTask(), 0);
  assert.deepEqual(since(), [
    "wait dropped",
    "score test of 1 from 0",
    "score test +0.50 {}",
    'score test +0.50 {"loss":"1.5"}',
    'score test done {"loss":"1.5"}',
    "wait of 0 from 0",
  ]);
  const task: TaskSpec = { kind: "listChoices", adapter: ADAPTER };
  await assert.rejects(runner.run(task, io()), /not of this test/);
  assert.deepEqual(since().slice(-2), ["list answers dropped", "wait of 0 from 0"]);
  runner.close();
  assert.deepEqual(since(), ["wait dropped"]);
});
