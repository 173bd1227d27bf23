/** The facts of a report that come from a run's events: faults, and the times of the run and of each stage. */
import type { LoggedEvent } from "../../coordinator/events/events.js";
import type { Fault, StageTime } from "./types.js";

export interface EventFacts {
  /** In the order of the clients, then of stages and messages: independent of the order of arrival. */
  readonly faults: readonly Fault[];
  /** In the order of their starts. */
  readonly stages: readonly StageTime[];
  /** When the run was first started, milliseconds since 1970; undefined where it was not. */
  readonly startedAt: number | undefined;
  /** From then to the last event. */
  readonly wallSeconds: number;
}

/**
 * @param events all of a run, in their order
 * @param clients in the order of the report
 */
export async function eventFactsOf(
  events: AsyncIterable<LoggedEvent>,
  clients: readonly string[],
): Promise<EventFacts> {
  const places = new Map(clients.map((name, at) => [name, at]));
  const faults: Fault[] = [];
  const began = new Map<string, number>();
  const seconds = new Map<string, number>();
  let startedAt: number | undefined;
  let last = 0;
  for await (const event of events) {
    if (event.type === "run-started") startedAt ??= event.at;
    last = event.at;
    if (event.type === "fault") {
      const { client, stage, message } = event;
      faults.push({ client, stage, message });
    } else if (event.type === "stage-began") {
      began.set(event.stage, event.at);
      seconds.set(event.stage, 0);
    } else if (event.type === "stage-ended") {
      seconds.set(event.stage, Math.max(0, event.at - (began.get(event.stage) ?? event.at)) / 1000);
    }
  }
  const place = ({ client }: Fault): number => places.get(client) ?? clients.length;
  const text = ({ stage, message }: Fault): string => `${stage}\n${message}`;
  return {
    faults: faults.sort((a, b) => place(a) - place(b) || (text(a) < text(b) ? -1 : 1)),
    startedAt,
    wallSeconds: Math.max(0, last - (startedAt ?? last)) / 1000,
    stages: [...seconds].map(([stage, wallSeconds]) => ({ stage, wallSeconds })),
  };
}
