/** The job of `kindred run logs`: a run's events as lines of text or of JSON. It reads beside a coordinator at work. */
import { setTimeout as sleep } from "node:timers/promises";
import { type EventRecords, type LoggedEvent, readEvents } from "../../coordinator/events/events.js";
import { logLine } from "../../coordinator/events/follow.js";
import { brief } from "../../shared/base/json.js";
import { localTime } from "../../shared/base/local-time.js";
import { readRun } from "./read-run.js";

/** Between two looks for new events. Where a state holds 100,000 events, a look takes 0.6 ms and reading all of them 1.2 s. */
const POLL_MS = 500;

export interface LogsJob {
  /** Position of the first event, from 1. */
  readonly from: number;
  /** Go on with new events until the run is finished. */
  readonly follow: boolean;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

/** @throws {KindredError} `not_found` where there is no run; an `AbortError` where the signal stops following */
export async function* eventLines(run: string, job: LogsJob): AsyncGenerator<string, void, undefined> {
  const state = await readRun(run);
  try {
    const write = job.json ? (event: LoggedEvent) => JSON.stringify(event) : eventText;
    for await (const event of followEvents(state.records, job)) yield write(event);
  } finally {
    await state.close();
  }
}

/**
 * The events from a position on. Following ends at the run's end, also where that lies before the position; a run that was
 * stopped may be resumed, so following waits for it.
 */
export async function* followEvents(
  records: Pick<EventRecords, "events">,
  { from, follow, signal, pollMs = POLL_MS }: Omit<LogsJob, "json"> & { readonly pollMs?: number },
): AsyncGenerator<LoggedEvent, void, undefined> {
  let finished = false;
  for (let next = follow ? 1 : from; ; ) {
    for await (const event of readEvents(records, next)) {
      signal.throwIfAborted();
      next = event.seq + 1;
      finished ||= event.type === "run-finished";
      if (event.seq >= from) yield event;
    }
    if (!follow || finished) return;
    await sleep(pollMs, undefined, { signal });
  }
}

/** Words as they are, numbers with six significant digits, text with spaces in quotes. */
function factText(value: unknown): string {
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  return typeof value === "string" && /^[\w./@:-]+$/.test(value) ? value : brief(value);
}

/** Time here, position, what happened, and its facts. */
export function eventText(event: LoggedEvent): string {
  // A later version may store types that this one does not know.
  const [level, message, facts] = logLine(event) ?? ["info", event.type, {}];
  const shown = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${factText(value)}`);
  return `${localTime(event.at)} ${event.seq} ${level === "warn" ? "warning: " : ""}${message}${shown.join("")}`;
}
