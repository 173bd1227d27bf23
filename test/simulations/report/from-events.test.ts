/** What a report takes from events: the same faults for any order of arrival, and the time of each stage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent, RunEvent } from "../../../coordinator/events/events.js";
import { eventFactsOf } from "../../../simulations/report/from-events.js";

async function* stream(events: readonly RunEvent[]): AsyncGenerator<LoggedEvent> {
  for (const [i, event] of events.entries()) yield { ...event, seq: i + 1, at: 1_000 * i };
}

const fault = (client: string, stage: string): RunEvent => ({ type: "fault", client, stage, message: "NaN" });

test("faults are in the order of the clients, in any order of arrival", async () => {
  const faults = [fault("zoe", "train"), fault("adam", "weigh"), fault("adam", "train")];
  const { faults: found } = await eventFactsOf(stream(faults), ["zoe", "adam"]);
  assert.deepEqual(
    found.map(({ client, stage }) => [client, stage]),
    [
      ["zoe", "train"],
      ["adam", "train"],
      ["adam", "weigh"],
    ],
  );
  assert.deepEqual((await eventFactsOf(stream(faults.toReversed()), ["zoe", "adam"])).faults, found);
});

test("the time of a stage is that from its start to its end", async () => {
  const { stages } = await eventFactsOf(
    stream([
      { type: "stage-began", stage: "train", total: 0 },
      { type: "stage-began", stage: "boost", total: 1 },
      { type: "stage-ended", stage: "boost" },
      { type: "stage-ended", stage: "train" },
    ]),
    [],
  );
  assert.deepEqual(stages, [
    { stage: "train", wallSeconds: 3 },
    { stage: "boost", wallSeconds: 1 },
  ]);
});
