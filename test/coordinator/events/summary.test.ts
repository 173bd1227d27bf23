import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunEvent } from "../../../coordinator/events/events.js";
import { RunSummarizer, type RunSummary } from "../../../coordinator/events/summary.js";

/** The summary of these events, which happen a second apart from each other. */
function summaryOf(...events: readonly RunEvent[]): RunSummary {
  const summarizer = new RunSummarizer();
  events.forEach((event, at) => {
    summarizer.add({ ...event, seq: at + 1, at: 1_000 * (at + 1) });
  });
  return summarizer.summary();
}

const rows = { train: 40, validation: 8, test: 12 };
const enrolled = (client: string): RunEvent => ({ type: "client-enrolled", client, as: "new", rows });
const left = (client: string): RunEvent => ({ type: "client-left", client, reason: "no sign of life" });
const started = (...names: string[]): RunEvent => ({
  type: "run-started",
  model: "m",
  clients: names.map((name) => ({ name, rows })),
});
const stopped: RunEvent = { type: "run-stopped", code: "cancelled", message: "stopped" };
const finished: RunEvent = { type: "run-finished", groups: 1, members: 1 };

test("a run waits, runs, and is finished, by its events", () => {
  assert.deepEqual(summaryOf(), { ...summaryOf(), status: "waiting", events: 0, firstAt: null, lastAt: null });
  assert.equal(summaryOf(enrolled("a")).status, "waiting");
  assert.equal(summaryOf(enrolled("a"), started("a")).status, "running");
  const { status, events, firstAt, lastAt, model } = summaryOf(enrolled("a"), started("a"), finished);
  assert.deepEqual(
    { status, events, firstAt, lastAt, model },
    {
      status: "finished",
      events: 3,
      firstAt: 1_000,
      lastAt: 3_000,
      model: "m",
    },
  );
});

test("a stop holds until another event than a client's leaving, and not after the end", () => {
  const stop = summaryOf(started("a"), stopped, left("a"));
  assert.equal(stop.status, "stopped");
  assert.deepEqual(stop.stopped, { code: "cancelled", message: "stopped" });
  const resumed = summaryOf(started("a"), stopped, left("a"), enrolled("a"));
  assert.equal(resumed.status, "running");
  assert.equal(resumed.stopped, null);
  assert.equal(summaryOf(stopped, enrolled("a")).status, "waiting");
  assert.equal(summaryOf(started("a"), finished, stopped).status, "finished");
  assert.equal(summaryOf(started("a"), finished, stopped).stopped, null);
});

test("a client is enrolled until it leaves, and again when it returns; the run serves those that it began with", () => {
  const { clients } = summaryOf(
    enrolled("a"),
    enrolled("b"),
    enrolled("late"),
    started("a", "b"),
    left("b"),
    left("late"),
    enrolled("late"),
  );
  assert.deepEqual(
    clients.map(({ name, enrolled: here, inRun }) => [name, here, inRun]),
    [
      ["a", true, true],
      ["b", false, true],
      ["late", true, false],
    ],
  );
  assert.deepEqual(clients[0]?.rows, rows);
});

test("stages under way have the most units that were reported, in any order; stages that ended are gone", () => {
  const { stages } = summaryOf(
    { type: "stage-began", stage: "one", total: 3 },
    { type: "stage-began", stage: "two", total: 0 },
    { type: "stage-advanced", stage: "two", done: 5 },
    { type: "stage-advanced", stage: "two", done: 4 },
    { type: "stage-advanced", stage: "never began", done: 1 },
    { type: "stage-ended", stage: "one" },
  );
  assert.deepEqual(stages, [{ stage: "two", done: 5, total: 0, info: {} }]);
});

test("a training has its last round and the last validation loss that is known", () => {
  const round = (number: number, loss?: number): RunEvent => ({
    type: "round-closed",
    training: "shared",
    round: number,
    of: 3,
    accepted: 2,
    rejected: 0,
    ...(loss === undefined ? {} : { validationLoss: loss }),
  });
  assert.deepEqual(summaryOf(round(1, 2.5), round(2)).trainings, [
    { training: "shared", round: 2, of: 3, validationLoss: 2.5 },
  ]);
  assert.equal(summaryOf(round(1)).trainings[0]?.validationLoss, null);
});

test("costs are sums over the tasks that are done; scores are means over clients, accuracies over those that have one", () => {
  const done = (client: string, bytesUp: number): RunEvent => ({
    type: "task-done",
    client,
    task: "t",
    kind: "evaluate",
    bytesUp,
    bytesDown: 1,
    flops: 100,
  });
  const failed: RunEvent = {
    type: "task-failed",
    client: "c",
    task: "t",
    kind: "evaluate",
    code: "task_failed",
    message: "",
  };
  const score = (client: string, loss: number, accuracy: number | null): RunEvent => ({
    type: "score",
    method: "shared",
    client,
    loss,
    accuracy,
  });
  const { cost, scores } = summaryOf(done("a", 10), done("b", 20), failed, score("a", 1, null), score("b", 2, 0.5));
  assert.deepEqual(cost, { tasksDone: 2, tasksFailed: 1, bytesUp: 30, bytesDown: 2, flops: 200 });
  assert.deepEqual(scores, [{ method: "shared", clients: 2, loss: 1.5, accuracy: 0.5 }]);
  assert.equal(summaryOf(score("a", 1, null)).scores[0]?.accuracy, null);
});

test("groups, learning rates and faults are as they were told; a type of a later version is ignored", () => {
  const later = { type: "eclipse", client: "a" } as unknown as RunEvent;
  const { groups, groupsReason, learningRates, faults } = summaryOf(
    { type: "learning-rate-chosen", subject: "adapter", learningRate: 0.01 },
    { type: "groups-found", groups: [["a"], ["b", "c"]], reason: "they gain" },
    { type: "fault", client: "a", stage: "sketch", message: "silent" },
    later,
  );
  assert.deepEqual(groups, [["a"], ["b", "c"]]);
  assert.equal(groupsReason, "they gain");
  assert.deepEqual(learningRates, { adapter: 0.01 });
  assert.deepEqual(faults, [{ client: "a", stage: "sketch", message: "silent" }]);
});
