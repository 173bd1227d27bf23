import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventText, followEvents } from "../../../cli/jobs/run-logs.js";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import type { StoredEvent } from "../../../coordinator/storage/types.js";

const left = (client: string): RunEvent => ({ type: "client-left", client, reason: "its own word" });
const finished: RunEvent = { type: "run-finished", groups: 1, members: 1 };

/** A stream in memory, to which a test adds. */
function stream(...first: RunEvent[]) {
  const stored: StoredEvent[] = [];
  const add = (...events: RunEvent[]): void => {
    for (const event of events) {
      const seq = stored.length + 1;
      stored.push({ seq, key: String(seq), at: seq, json: JSON.stringify(event) });
    }
  };
  add(...first);
  let reads = 0;
  const events = async (from: number, limit = Number.POSITIVE_INFINITY): Promise<StoredEvent[]> => {
    reads++;
    return stored.slice(from - 1, from - 1 + limit);
  };
  return { records: { events }, add, reads: () => reads };
}

const POLL = { pollMs: 5, signal: new AbortController().signal };

async function all(events: AsyncIterable<LoggedEvent>): Promise<number[]> {
  const positions: number[] = [];
  for await (const { seq } of events) positions.push(seq);
  return positions;
}

test("without following, the events so far are read from a position on", async () => {
  const { records } = stream(left("a"), left("b"), left("c"));
  assert.deepEqual(await all(followEvents(records, { ...POLL, from: 1, follow: false })), [1, 2, 3]);
  assert.deepEqual(await all(followEvents(records, { ...POLL, from: 3, follow: false })), [3]);
  assert.deepEqual(await all(followEvents(records, { ...POLL, from: 4, follow: false })), []);
});

test("following a finished run ends, also from a position behind its end", async () => {
  const { records } = stream(left("a"), finished, left("b"));
  assert.deepEqual(await all(followEvents(records, { ...POLL, from: 1, follow: true })), [1, 2, 3]);
  assert.deepEqual(await all(followEvents(records, { ...POLL, from: 9, follow: true })), []);
});

test("following reads each new event once, waits through a stop, and ends with the run", async () => {
  const { records, add, reads } = stream(left("a"));
  const read = all(followEvents(records, { ...POLL, from: 1, follow: true }));
  const untilReads = async (count: number): Promise<void> => {
    while (reads() < count) await sleep(1);
  };
  await untilReads(3);
  add({ type: "run-stopped", code: "cancelled", message: "stopped" });
  await untilReads(reads() + 3);
  add(left("b"), finished);
  assert.deepEqual(await read, [1, 2, 3, 4]);
});

test("a signal ends following", async () => {
  const abort = new AbortController();
  const read = all(followEvents(stream(left("a")).records, { from: 1, follow: true, pollMs: 5, signal: abort.signal }));
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(read, { name: "AbortError" });
});

test("more events than one page are read in order and without a gap", async () => {
  const { records } = stream(...Array.from({ length: 2_500 }, (_, at) => left(`c${at}`)));
  const positions = await all(followEvents(records, { ...POLL, from: 2, follow: false }));
  assert.deepEqual(
    positions,
    Array.from({ length: 2_499 }, (_, at) => at + 2),
  );
});

test("a line has local time, position, what happened and its facts; words with spaces are quoted", () => {
  const at = new Date(2026, 1, 3, 4, 5, 6).getTime();
  assert.equal(
    eventText({ ...left("ada"), seq: 7, at }),
    '2026-02-03 04:05:06 7 warning: client left client=ada reason="its own word"',
  );
  const advanced: RunEvent = { type: "stage-advanced", stage: "sweep", done: 2, info: { loss: 2.0959524313608804 } };
  assert.equal(eventText({ ...advanced, seq: 8, at }), "2026-02-03 04:05:06 8 sweep done=2 loss=2.09595");
  const later = { type: "eclipse", seq: 8, at } as unknown as LoggedEvent;
  assert.equal(eventText(later), "2026-02-03 04:05:06 8 eclipse");
});
