/** The event stream as lines of a log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import { logLine, logReader } from "../../../coordinator/events/follow.js";
import { type LogFields, type Logger, silentLog } from "../../../shared/base/log.js";

const rows = { train: 1, validation: 1, test: 1 };

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

test("a client that comes after the run's start is told of in the log, one that returns is not", () => {
  const warned: unknown[] = [];
  const read = logReader({ ...silentLog, warn: (_message: string, fields?: LogFields) => warned.push(fields) });
  const enrolled = (client: string, as: "new" | "returning"): LoggedEvent =>
    at({ type: "client-enrolled", client, as, rows });
  read(enrolled("ann", "new"), true);
  read(at({ type: "run-started", model: null, clients: [{ name: "ann", rows }] }), false);
  read(enrolled("ann", "returning"), true);
  read(enrolled("late", "new"), true);
  assert.deepEqual(warned, [{ client: "late", reason: "the run began without it; it gets no ensemble" }]);
});

test("a run whose configuration names no model has none in its line", () => {
  const [, , fields] = logLine(at({ type: "run-started", model: null, clients: [{ name: "ann", rows }] }));
  assert.deepEqual(fields, { clients: 1 });
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
