/** The condition of a run, by its events and by whether a process holds its state. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { conditionText, runCondition } from "../../../cli/jobs/run-show.js";
import { EventLog, type RunEvent } from "../../../coordinator/events/events.js";
import { openState } from "../../../coordinator/storage/open.js";
import { temporaryFolder } from "../../support/federation.js";

/** The conditions of a run of these events: while its process holds the state, and after. */
async function conditions(t: TestContext, ...events: readonly RunEvent[]): Promise<string[]> {
  const folder = temporaryFolder();
  t.after(folder.remove);
  const state = await openState(folder.path);
  const log = new EventLog(state.records);
  for (const event of events) log.emit(event);
  await log.flush();
  const held = await runCondition(folder.path);
  await state.close();
  const left = await runCondition(folder.path);
  assert.match(
    conditionText(left).split("\n")[0] as string,
    left.status === "interrupted" ? /^run: interrupted: / : /^run: /,
  );
  return [held.status, left.status];
}

const started: RunEvent = { type: "run-started", model: null, clients: [] };

test("a run whose process is gone without a word is told from one that is under way", async (t) => {
  assert.deepEqual(await conditions(t), ["waiting", "interrupted"]);
  assert.deepEqual(await conditions(t, started), ["running", "interrupted"]);
});

test("a run that ended, or was stopped, says so with and without its process", async (t) => {
  const finished: RunEvent = { type: "run-finished", groups: 1, members: 1 };
  assert.deepEqual(await conditions(t, started, finished), ["finished", "finished"]);
  const stopped: RunEvent = { type: "run-stopped", code: "cancelled", message: "stopped" };
  assert.deepEqual(await conditions(t, started, stopped), ["stopped", "stopped"]);
});
