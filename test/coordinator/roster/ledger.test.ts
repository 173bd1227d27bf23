import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  emptyLedger,
  isLive,
  type Ledger,
  type LedgerEffect,
  type LedgerEvent,
  step,
} from "../../../coordinator/roster/ledger.js";

const POLICY = { silenceMs: 100 };

/** Plays events at times, and returns the effects of each as short words. */
function play(events: readonly (readonly [number, LedgerEvent])[]): { words: string[]; ledger: Ledger } {
  let ledger = emptyLedger(0);
  const words: string[] = [];
  for (const [nowMs, event] of events) {
    const [next, effects] = step(ledger, event, nowMs, POLICY);
    ledger = next;
    words.push(effects.map(word).join(" "));
  }
  return { words, ledger };
}

function word(effect: LedgerEffect): string {
  if (effect.type === "offer") return `${effect.taskId}->${effect.poll}`;
  if (effect.type === "nothing") return `nothing->${effect.poll}`;
  return `${effect.taskId}:${effect.code}${effect.started ? "" : " unstarted"}`;
}

const submit = (taskId: string, deadlineMs = 0): LedgerEvent => ({ type: "submitted", taskId, deadlineMs });
const poll = (id: number, waitMs = 50): LedgerEvent => ({ type: "polled", poll: id, waitMs });
const progress = (taskId: string, fraction: number): LedgerEvent => ({ type: "progressed", taskId, fraction });
const remove = (taskId: string): LedgerEvent => ({ type: "removed", taskId });
const TICK: LedgerEvent = { type: "tick" };
const SEEN: LedgerEvent = { type: "seen" };

const TABLE: readonly (readonly [string, readonly (readonly [number, LedgerEvent])[], readonly string[]])[] = [
  [
    "a task that is there is offered at once",
    [
      [0, submit("a")],
      [1, poll(1)],
    ],
    ["", "a->1"],
  ],
  [
    "a waiting client is offered a task as it comes",
    [
      [0, poll(1)],
      [9, submit("a")],
    ],
    ["", "a->1"],
  ],
  [
    "a client that asks again gets the same task",
    [
      [0, submit("a")],
      [1, poll(1)],
      [2, poll(2)],
    ],
    ["", "a->1", "a->2"],
  ],
  [
    "a task submitted twice is there once",
    [
      [0, submit("a")],
      [0, submit("a")],
      [1, poll(1)],
      [2, remove("a")],
      [3, poll(2)],
    ],
    ["", "", "a->1", "", ""],
  ],
  [
    "the next task comes once the first is settled",
    [
      [0, submit("a")],
      [0, submit("b")],
      [1, poll(1)],
      [2, remove("a")],
      [3, poll(2)],
    ],
    ["", "", "a->1", "", "b->2"],
  ],
  [
    "a call that waited long enough gets nothing",
    [
      [0, poll(1, 50)],
      [49, TICK],
      [50, TICK],
      [51, submit("a")],
    ],
    ["", "", "nothing->1", ""],
  ],
  ["a call that does not wait gets nothing at once", [[0, poll(1, 0)]], ["nothing->1"]],
  [
    "a second call ends the first",
    [
      [0, poll(1)],
      [1, poll(2)],
      [2, submit("a")],
    ],
    ["", "nothing->1", "a->2"],
  ],
  [
    "a call that was hung up gets no task",
    [
      [0, poll(1)],
      [1, { type: "pollEnded", poll: 1 }],
      [2, submit("a")],
      [3, poll(2)],
    ],
    ["", "", "", "a->2"],
  ],
  [
    "the end of an old call does not end the current one",
    [
      [0, poll(1)],
      [1, poll(2)],
      [2, { type: "pollEnded", poll: 1 }],
      [3, submit("a")],
    ],
    ["", "nothing->1", "", "a->2"],
  ],
  [
    "a silent client fails all its tasks",
    [
      [0, submit("a")],
      [1, poll(1)],
      [2, submit("b")],
      [101, TICK],
      [102, TICK],
      [103, TICK],
    ],
    ["", "a->1", "", "", "a:unavailable b:unavailable unstarted", ""],
  ],
  [
    "a sign of life keeps its tasks",
    [
      [0, submit("a")],
      [90, SEEN],
      [150, TICK],
      [191, TICK],
    ],
    ["", "", "", "a:unavailable unstarted"],
  ],
  [
    "a client with a waiting call is alive for any time",
    [
      [0, poll(1, 10_000)],
      [5_000, TICK],
      [5_001, submit("a")],
    ],
    ["", "", "a->1"],
  ],
  [
    "time in which the coordinator did not listen counts against no client",
    [
      [0, submit("a", 60)],
      [1, poll(1)],
      [900, { type: "stalled", ms: 890 }],
      [901, TICK],
      [960, TICK],
    ],
    ["", "a->1", "", "", "a:task_failed"],
  ],
  [
    "a task without progress fails at its deadline, and the next is offered",
    [
      [0, submit("a", 60)],
      [0, submit("b")],
      [1, poll(1)],
      [50, SEEN],
      [61, TICK],
      [62, TICK],
      [63, poll(2)],
    ],
    ["", "", "a->1", "", "", "a:task_failed", "b->2"],
  ],
  [
    "growing progress moves the deadline",
    [
      [0, submit("a", 60)],
      [1, poll(1)],
      [50, progress("a", 0.1)],
      [100, TICK],
      [105, progress("a", 0.2)],
      [160, TICK],
      [166, TICK],
    ],
    ["", "a->1", "", "", "", "", "a:task_failed"],
  ],
  [
    "repeated progress does not move the deadline",
    [
      [0, submit("a", 60)],
      [1, poll(1)],
      [10, progress("a", 0.1)],
      [60, progress("a", 0.1)],
      [71, TICK],
    ],
    ["", "a->1", "", "", "a:task_failed"],
  ],
  [
    "a task that was never given to the client has no deadline",
    [
      [0, submit("a", 60)],
      [80, SEEN],
      [150, TICK],
    ],
    ["", "", ""],
  ],
  [
    "progress of a task that a restarted coordinator has not given yet starts the task",
    [
      [0, submit("a", 60)],
      [50, progress("a", 0)],
      [100, TICK],
      [111, TICK],
    ],
    ["", "", "", "a:task_failed"],
  ],
];

describe("a client's ledger", () => {
  for (const [sentence, events, expected] of TABLE) {
    it(sentence, () => assert.deepEqual(play(events).words, expected));
  }

  it("knows whether a client is alive", () => {
    const { ledger } = play([[0, SEEN]]);
    assert.equal(isLive(ledger, 100, POLICY), true);
    assert.equal(isLive(ledger, 101, POLICY), false);
    assert.equal(isLive(play([[0, poll(1, 999)]]).ledger, 500, POLICY), true);
  });

  it("loses no task and offers no settled task, for any events in any order", () => {
    const task = fc.constantFrom("a", "b", "c");
    const event: fc.Arbitrary<LedgerEvent> = fc.oneof(
      task.map((taskId) => submit(taskId, 40)),
      fc.tuple(fc.nat(5), fc.constantFrom(0, 30)).map(([id, waitMs]) => poll(id, waitMs)),
      fc.nat(5).map((id): LedgerEvent => ({ type: "pollEnded", poll: id })),
      fc.tuple(task, fc.double({ min: 0, max: 1, noNaN: true })).map(([id, fraction]) => progress(id, fraction)),
      task.map(remove),
      fc.constantFrom(SEEN, TICK),
      fc.nat(50).map((ms): LedgerEvent => ({ type: "stalled", ms })),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(30), event), { maxLength: 60 }), (moves) => {
        let ledger = emptyLedger(0);
        let nowMs = 0;
        const open = new Set<string>();
        for (const [ms, move] of moves) {
          nowMs += ms;
          if (move.type === "submitted") open.add(move.taskId);
          if (move.type === "removed") open.delete(move.taskId);
          const [next, effects] = step(ledger, move, nowMs, POLICY);
          ledger = next;
          for (const effect of effects) {
            if (effect.type === "offer") assert.ok(open.has(effect.taskId));
            if (effect.type === "fail") assert.ok(open.delete(effect.taskId));
          }
          assert.deepEqual(new Set(ledger.work.map(({ taskId }) => taskId)), open);
          assert.ok(!(ledger.poll && ledger.work.length > 0), "no call waits while there is work");
        }
      }),
      { numRuns: 300 },
    );
  });
});
