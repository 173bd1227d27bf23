/** The event stream as lines of a log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import { logLine, logReader } from "../../../coordinator/events/follow.js";
import { type LogFields, type Logger, silentLog } from "../../../shared/base/log.js";

const at = (event: RunEvent, seq = 1): LoggedEvent => ({ ...event, seq, at: 0 });

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
