/** What a person sees of the stream: bars that go on where a stopped run was, and lines of a log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import { logLine, logReader, progressReader } from "../../../coordinator/events/follow.js";
import { type LogFields, type Logger, silentLog } from "../../../shared/base/log.js";
import type { Progress } from "../../../shared/base/progress.js";

const at = (event: RunEvent, seq = 1): LoggedEvent => ({ ...event, seq, at: 0 });

function recording(): { progress: Progress; calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    progress: {
      stage(name, total) {
        calls.push(`${name} of ${total}`);
        return {
          tick: (n = 1, info) => calls.push(`${name} +${n} ${JSON.stringify(info ?? {})}`),
          done: (info) => calls.push(`${name} done ${JSON.stringify(info ?? {})}`),
        };
      },
      close() {},
    },
  };
}

test("a stage is a bar that advances by what is new", () => {
  const { progress, calls } = recording();
  const read = progressReader(progress);
  read(at({ type: "stage-began", stage: "train", total: 3 }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 1 }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 3, info: { loss: 2 } }), true);
  read(at({ type: "stage-ended", stage: "train" }), true);
  assert.deepEqual(calls, [
    "train of 3",
    "train +0 {}",
    "train +1 {}",
    'train +2 {"loss":2}',
    "train +0 {}",
    "train done {}",
  ]);
});

test("a resumed run shows the stage under way from where it was, and no stage that ended", () => {
  const { progress, calls } = recording();
  const read = progressReader(progress);
  for (const stage of ["sweep", "train"]) read(at({ type: "stage-began", stage, total: 4 }), false);
  read(at({ type: "stage-ended", stage: "sweep" }), false);
  for (const done of [2, 1]) read(at({ type: "stage-advanced", stage: "train", done }), false);
  assert.deepEqual(calls, []);
  read(at({ type: "stage-advanced", stage: "train", done: 3 }), true);
  assert.deepEqual(calls, ["train of 4", "train +3 {}"]);
});

test("a log has a line for what happens from now on, at its level", () => {
  const lines: unknown[] = [];
  const line = (level: string) => (message: string, fields?: LogFields) => lines.push([level, message, fields]);
  const log: Logger = {
    ...silentLog,
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
  };
  const read = logReader(log);
  read(at({ type: "fault", client: "old", stage: "train", message: "gone" }), false);
  read(at({ type: "fault", client: "bob", stage: "train", message: "NaN" }), true);
  read(at({ type: "stage-advanced", stage: "train", done: 1, info: { loss: 1 } }), true);
  assert.deepEqual(lines, [
    ["warn", "a client is left out", { client: "bob", stage: "train", reason: "NaN" }],
    ["debug", "train", { done: 1, loss: 1 }],
  ]);
});

test("a round that reports no losses has none in its line", () => {
  const [, , fields] = logLine(
    at({ type: "round-closed", training: "shared", round: 1, of: 2, accepted: 3, rejected: 0 }),
  );
  assert.deepEqual(JSON.parse(JSON.stringify(fields)), {
    training: "shared",
    round: 1,
    of: 2,
    accepted: 3,
    rejected: 0,
  });
});
