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

test("a run that a person stopped is said once to be stopped, one that an error stopped has the reason", async (t) => {
  const first = async (message: string): Promise<string | undefined> => {
    const folder = temporaryFolder();
    t.after(folder.remove);
    const state = await openState(folder.path);
    const log = new EventLog(state.records);
    log.emit(started);
    log.emit({ type: "run-stopped", code: "cancelled", message });
    await log.flush();
    await state.close();
    return conditionText(await runCondition(folder.path)).split("\n")[0];
  };
  assert.equal(await first("stopped"), "run: stopped; the command that started it resumes it");
  assert.equal(
    await first("no client is left"),
    "run: stopped; the command that started it resumes it (no client is left)",
  );
});

test("a run that waits for its own state says so and why, and afterwards for how long it waited", async (t) => {
  const paused: RunEvent = { type: "run-paused", trouble: "readonly", message: "the disk is read-only" };
  const folder = temporaryFolder();
  t.after(folder.remove);
  const state = await openState(folder.path);
  t.after(() => state.close());
  let at = 1_000;
  const log = new EventLog(state.records, () => at);
  log.emit(started);
  log.emit(paused);
  await log.flush();
  const waits = await runCondition(folder.path);
  assert.deepEqual([waits.status, waits.paused], ["paused", { at: 1_000, message: "the disk is read-only" }]);
  assert.match(conditionText(waits), /^run: waits for its own state \(the disk is read-only\)$/m);
  at = 91_000;
  log.emit({ type: "run-resumed" });
  await log.flush();
  const goes = await runCondition(folder.path);
  assert.deepEqual([goes.status, goes.paused, goes.pauses], ["running", null, { count: 1, seconds: 90 }]);
  assert.match(conditionText(goes), /^pauses: 1, 1 min 30 s in all/m);
});
