/**
 * The tasks of one client and its liveness: a pure step function of state, event and time. A client works on one
 * task at a time, the first of its list, and gets the same task again until it is settled. There are two limits: a client without a sign
 * of life for `silenceMs` fails all its tasks, and a task without growing progress within its own deadline fails alone. It knows nothing
 * of sockets, timers or storage.
 */
import type { ErrorCode } from "../../shared/base/errors.js";

export interface LedgerTask {
  readonly taskId: string;
  /** Longest time without growing progress once started, milliseconds; 0: no limit. */
  readonly deadlineMs: number;
  /** Given to the client since this process began. */
  readonly started: boolean;
  /** Highest fraction reported, 0 .. 1. */
  readonly fraction: number;
  /** Time of its start or last progress. */
  readonly sinceMs: number;
}

export interface Ledger {
  readonly lastSeenMs: number;
  /** In order of submission. */
  readonly work: readonly LedgerTask[];
  /** The client's waiting call. While it is open the client is alive. */
  readonly poll?: { readonly id: number; readonly untilMs: number };
}

export type LedgerEvent =
  | { readonly type: "submitted"; readonly taskId: string; readonly deadlineMs: number }
  | { readonly type: "polled"; readonly poll: number; readonly waitMs: number }
  | { readonly type: "pollEnded"; readonly poll: number }
  | { readonly type: "progressed"; readonly taskId: string; readonly fraction: number }
  | { readonly type: "removed"; readonly taskId: string }
  | { readonly type: "seen" }
  /** The coordinator itself did not listen for this time, which counts against no client. */
  | { readonly type: "stalled"; readonly ms: number }
  | { readonly type: "tick" };

export type LedgerEffect =
  | { readonly type: "offer"; readonly poll: number; readonly taskId: string }
  | { readonly type: "nothing"; readonly poll: number }
  | {
      readonly type: "fail";
      readonly taskId: string;
      readonly started: boolean;
      readonly code: ErrorCode;
      readonly message: string;
    };

export interface LedgerPolicy {
  readonly silenceMs: number;
}

export function emptyLedger(nowMs: number): Ledger {
  return { lastSeenMs: nowMs, work: [] };
}

export function isLive(ledger: Ledger, nowMs: number, { silenceMs }: LedgerPolicy): boolean {
  return ledger.poll !== undefined || nowMs - ledger.lastSeenMs <= silenceMs;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

function withoutPoll({ lastSeenMs, work }: Ledger): Ledger {
  return { lastSeenMs, work };
}

/** Answers the waiting call with the first task, if there are both. */
function offer(ledger: Ledger, nowMs: number): [Ledger, LedgerEffect[]] {
  const [first, ...rest] = ledger.work;
  if (!first || !ledger.poll) return [ledger, []];
  const started = first.started ? first : { ...first, started: true, sinceMs: nowMs };
  return [
    { lastSeenMs: nowMs, work: [started, ...rest] },
    [{ type: "offer", poll: ledger.poll.id, taskId: first.taskId }],
  ];
}

function tick(ledger: Ledger, nowMs: number, policy: LedgerPolicy): [Ledger, LedgerEffect[]] {
  if (!isLive(ledger, nowMs, policy)) {
    const message = `no sign of life for ${seconds(nowMs - ledger.lastSeenMs)}`;
    const fails = ledger.work.map(
      ({ taskId, started }): LedgerEffect => ({ type: "fail", taskId, started, code: "unavailable", message }),
    );
    return [{ ...ledger, work: [] }, fails];
  }
  const effects: LedgerEffect[] = [];
  let next = ledger;
  if (ledger.poll && nowMs >= ledger.poll.untilMs) {
    effects.push({ type: "nothing", poll: ledger.poll.id });
    next = { ...withoutPoll(ledger), lastSeenMs: nowMs };
  }
  const first = next.work[0];
  if (first?.started && first.deadlineMs > 0 && nowMs - first.sinceMs > first.deadlineMs) {
    const percent = Math.round(first.fraction * 100);
    const message = `no progress beyond ${percent} % for ${seconds(nowMs - first.sinceMs)} (deadline ${seconds(first.deadlineMs)})`;
    effects.push({ type: "fail", taskId: first.taskId, started: true, code: "task_failed", message });
    next = { ...next, work: next.work.slice(1) };
  }
  return [next, effects];
}

export function step(
  ledger: Ledger,
  event: LedgerEvent,
  nowMs: number,
  policy: LedgerPolicy,
): [Ledger, LedgerEffect[]] {
  switch (event.type) {
    case "submitted": {
      if (ledger.work.some((work) => work.taskId === event.taskId)) return [ledger, []];
      const { taskId, deadlineMs } = event;
      const work = [...ledger.work, { taskId, deadlineMs, started: false, fraction: 0, sinceMs: nowMs }];
      return offer({ ...ledger, work }, nowMs);
    }
    case "polled": {
      // A second call means that the client gave up the first one, even where its connection is still open.
      const stale: LedgerEffect[] = ledger.poll ? [{ type: "nothing", poll: ledger.poll.id }] : [];
      const poll = { id: event.poll, untilMs: nowMs + event.waitMs };
      const [next, effects] = offer({ work: ledger.work, lastSeenMs: nowMs, poll }, nowMs);
      if (effects.length === 0 && event.waitMs === 0) {
        return [withoutPoll(next), [...stale, { type: "nothing", poll: event.poll }]];
      }
      return [next, [...stale, ...effects]];
    }
    case "pollEnded":
      return [ledger.poll?.id === event.poll ? { ...withoutPoll(ledger), lastSeenMs: nowMs } : ledger, []];
    case "progressed": {
      const work = ledger.work.map((item) => {
        if (item.taskId !== event.taskId) return item;
        const grew = event.fraction > item.fraction || !item.started;
        return {
          ...item,
          started: true,
          fraction: Math.max(item.fraction, event.fraction),
          sinceMs: grew ? nowMs : item.sinceMs,
        };
      });
      return [{ ...ledger, work, lastSeenMs: nowMs }, []];
    }
    case "removed":
      return offer({ ...ledger, work: ledger.work.filter((item) => item.taskId !== event.taskId) }, nowMs);
    case "seen":
      return [{ ...ledger, lastSeenMs: nowMs }, []];
    case "stalled": {
      const work = ledger.work.map((item) => ({ ...item, sinceMs: item.sinceMs + event.ms }));
      return [{ ...ledger, work, lastSeenMs: ledger.lastSeenMs + event.ms }, []];
    }
    case "tick":
      return tick(ledger, nowMs, policy);
  }
}
