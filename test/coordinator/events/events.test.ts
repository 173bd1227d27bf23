/** The event stream on a real state: each event once, in order, from any position, before and after a restart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog, type LoggedEvent, type RunEvent, readEvents } from "../../../coordinator/events/events.js";
import { openState } from "../../../coordinator/storage/open.js";
import { temporaryFolder } from "../../support/federation.js";

const done = (task: string, client: string): RunEvent => ({
  type: "task-done",
  client,
  task,
  kind: "evaluate",
  bytesUp: 1,
  bytesDown: 2,
  flops: 3,
});

async function stored(folder: string, from = 1): Promise<LoggedEvent[]> {
  const state = await openState(folder);
  const events: LoggedEvent[] = [];
  for await (const event of readEvents(state.records, from)) events.push(event);
  await state.close();
  return events;
}

test("events are stored in the order in which they were emitted, with the time of emission", async () => {
  const folder = temporaryFolder();
  const state = await openState(folder.path);
  let now = 1_000;
  const log = new EventLog(state.records, () => now++);
  for (let round = 0; round < 2_500; round++) log.emit(done(`train/${round}`, "alice"));
  await log.flush();
  await state.close();
  const events = await stored(folder.path);
  assert.deepEqual(
    events.map(({ seq, at }) => [seq, at]),
    Array.from({ length: 2_500 }, (_, i) => [i + 1, 1_000 + i]),
  );
  assert.deepEqual(
    (await stored(folder.path, 2_499)).map((event) => event.type === "task-done" && event.task),
    ["train/2498", "train/2499"],
  );
  folder.remove();
});

test("a restarted run that emits the same events again leaves one of each, with the first time", async () => {
  const folder = temporaryFolder();
  const state = await openState(folder.path);
  const first = new EventLog(state.records, () => 1);
  first.emit(done("a", "alice"));
  first.emit({ type: "stage-began", stage: "train", total: 2 });
  await first.flush();
  const second = new EventLog(state.records, () => 2);
  for (const event of [done("a", "alice"), { type: "stage-began", stage: "train", total: 2 } as const])
    second.emit(event);
  second.emit(done("a", "bob"));
  await second.flush();
  await state.close();
  assert.deepEqual(
    (await stored(folder.path)).map(({ type, at }) => [type, at]),
    [
      ["task-done", 1],
      ["stage-began", 1],
      ["task-done", 2],
    ],
  );
  folder.remove();
});

test("each enrolment is an event of its own", async () => {
  const folder = temporaryFolder();
  const state = await openState(folder.path);
  const log = new EventLog(state.records, () => 7);
  const rows = { train: 1, validation: 1, test: 1 };
  log.emit({ type: "client-enrolled", client: "alice", as: "new", rows });
  log.emit({ type: "client-enrolled", client: "alice", as: "returning", rows });
  log.emit({ type: "client-enrolled", client: "alice", as: "returning", rows });
  await log.flush();
  await state.close();
  assert.equal((await stored(folder.path)).length, 3);
  folder.remove();
});

test("a subscriber gets the stored events and then each new one once, in order, however it interleaves with emission", async () => {
  const folder = temporaryFolder();
  const state = await openState(folder.path);
  const log = new EventLog(state.records);
  for (let i = 0; i < 5; i++) log.emit(done(`${i}`, "alice"));
  const seen: [number, boolean][] = [];
  const subscribed = log.subscribe((event, live) => seen.push([event.seq, live]));
  log.emit(done("5", "alice"));
  const unsubscribe = await subscribed;
  log.emit(done("6", "alice"));
  log.emit(done("6", "alice"));
  await log.flush();
  unsubscribe();
  log.emit(done("7", "alice"));
  await log.flush();
  assert.deepEqual(
    seen.map(([seq]) => seq),
    [1, 2, 3, 4, 5, 6, 7],
  );
  assert.deepEqual([seen[0]?.[1], seen[6]?.[1]], [false, true]);
  await state.close();
  folder.remove();
});

for (const [what, json, message] of [
  [
    "damaged",
    '{"type": "fau',
    /^the state's event 2: .* got damaged text; read the state with the Kindred that wrote it$/,
  ],
  ["of an unknown type", '{"type": "__proto__"}', /^the state's event 2: .* got type "__proto__"/],
] as const)
  test(`an event that is ${what} is refused by its position`, async () => {
    const folder = temporaryFolder();
    const state = await openState(folder.path);
    await state.records.appendEvents([
      { key: "a", at: 1, json: JSON.stringify(done("a", "alice")) },
      { key: "b", at: 2, json },
    ]);
    const read = async (): Promise<void> => {
      for await (const _ of readEvents(state.records));
    };
    await assert.rejects(read(), { code: "invalid_data", message });
    await state.close();
    folder.remove();
  });

test("a state that cannot store events fails the flush, with its own error", async () => {
  const broken = new Error("disk full");
  const log = new EventLog({
    appendEvents: () => Promise.reject(broken),
    events: async () => [],
  });
  log.emit(done("a", "alice"));
  await assert.rejects(log.flush(), broken);
});
