/** What a display is told of a run: its stages, where they go on, who is waited for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import { EnrolmentProgress, progressReader } from "../../../coordinator/events/stage-progress.js";
import type { Progress, StageOptions } from "../../../shared/base/progress.js";

const at = (event: RunEvent, seq = 1): LoggedEvent => ({ ...event, seq, at: 0 });
const rows = { train: 40, validation: 8, test: 12 };
const enrolled = (client: string): RunEvent => ({ type: "client-enrolled", client, as: "new", rows });
const started = (...names: string[]): RunEvent => ({
  type: "run-started",
  model: null,
  clients: names.map((name) => ({ name, rows })),
});

function recording() {
  const calls: string[] = [];
  let note: StageOptions["note"];
  const progress: Progress = {
    stage(name, total, options = {}) {
      note = options.note;
      calls.push(
        `${name} of ${total}${options.from ? ` from ${options.from}` : ""}${options.paced === false ? ", unpaced" : ""}`,
      );
      return {
        tick: (n = 1, info) => calls.push(`${name} +${n} ${JSON.stringify(info ?? {})}`),
        done: (info) => calls.push(`${name} done ${JSON.stringify(info ?? {})}`),
        drop: () => calls.push(`${name} dropped`),
      };
    },
    close() {},
  };
  return { calls, progress, note: () => note?.() };
}

test("a stage is a bar that advances by what is new", () => {
  const { progress, calls } = recording();
  const read = progressReader(progress);
  read(at({ type: "stage-began", stage: "train", total: 3 }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 1.5 }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 1, info: { loss: 3 } }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 3, info: { loss: 2 } }), true);
  read(at({ type: "stage-ended", stage: "train" }), true);
  assert.deepEqual(calls, [
    "train of 3",
    "train +0 {}",
    "train +1.5 {}",
    "train +0 {}",
    'train +1.5 {"loss":2}',
    "train done {}",
  ]);
});

test("a resumed run shows the stage under way from where it was as soon as anything happens, and no stage that ended", () => {
  const { progress, calls } = recording();
  const read = progressReader(progress);
  for (const stage of ["sweep", "train"]) read(at({ type: "stage-began", stage, total: 4 }), false);
  read(at({ type: "stage-ended", stage: "sweep" }), false);
  for (const done of [2, 1])
    read(at({ type: "stage-advanced", stage: "train", done, info: { round: `${done}/4` } }), false);
  assert.deepEqual(calls, []);
  read(at(enrolled("ada")), true);
  read(at({ type: "stage-advanced", stage: "train", done: 3 }), true);
  assert.deepEqual(calls, ["train of 4 from 2", 'train +0 {"round":"2/4"}', "train +1 {}"]);
});

test("the last clients at work are named, once the others have had nothing to do for a while", () => {
  const { progress, note } = recording();
  let now = 0;
  const read = progressReader(progress, { names: true, clock: () => now });
  const given = (client: string): void => read(at({ type: "task-given", client, task: "t", kind: "evaluate" }), true);
  const done = (client: string): void =>
    read(at({ type: "task-done", client, task: "t", kind: "evaluate", bytesUp: 0, bytesDown: 0, flops: 0 }), true);
  read(at(started("a", "b", "c")), true);
  read(at({ type: "stage-began", stage: "train", total: 1 }), true);
  for (const client of ["a", "b", "c"]) given(client);
  now = 10_000;
  assert.equal(note(), undefined, "all are at work");
  done("a");
  now = 12_000;
  assert.equal(note(), undefined, "the others are a little slower");
  now = 14_000;
  assert.equal(note(), "waiting for b, c");
  done("b");
  read(at({ type: "task-failed", client: "c", task: "t", kind: "evaluate", code: "unavailable", message: "" }), true);
  now = 60_000;
  assert.equal(note(), undefined, "nobody is at work");
});

test("a coordinator shows who has enrolled of those that it needs, once each, until the run begins", () => {
  const { progress, calls } = recording();
  const enrolment = new EnrolmentProgress(progress, 3);
  enrolment.listen(at(enrolled("ada")), false);
  enrolment.begin();
  for (const name of ["ada", "bob"]) enrolment.listen(at(enrolled(name)), true);
  enrolment.listen(at(started("ada", "bob", "cy")), true);
  assert.deepEqual(calls, [
    "wait for clients of 3 from 1, unpaced",
    'wait for clients +0 {"enrolled":"1/3"}',
    'wait for clients +0 {"enrolled":"1/3"}',
    'wait for clients +1 {"enrolled":"2/3"}',
    "wait for clients dropped",
  ]);
  const resumed = recording();
  const later = new EnrolmentProgress(resumed.progress, 3);
  later.listen(at(started("ada", "bob", "cy")), false);
  later.begin();
  assert.deepEqual(resumed.calls, []);
});
