import assert from "node:assert/strict";
import { it } from "node:test";
import { HandshakeLog } from "../../../coordinator/server/handshakes.js";
import { silentLog } from "../../../shared/base/log.js";

it("a port scanner fills no log, and what was left out is counted", () => {
  let now = 0;
  const lines: object[] = [];
  const warn = (message: string, fields?: object): void => void lines.push({ message, ...fields });
  const failures = new HandshakeLog({ ...silentLog, warn }, () => now);
  failures.note("10.0.0.1", "it speaks plain text");
  assert.deepEqual(lines, [{ message: "a handshake failed", from: "10.0.0.1", reason: "it speaks plain text" }]);
  for (let i = 0; i < 100_000; i++) failures.note("10.0.0.2", `reason ${i}`);
  assert.equal(lines.length, 10);
  now = 600_000;
  failures.note(undefined, "the next window");
  assert.deepEqual(lines.slice(10), [
    { message: "further handshakes failed", count: 99_991 },
    { message: "a handshake failed", from: "unknown", reason: "the next window" },
  ]);
  failures.close();
  assert.equal(lines.length, 12);
});
