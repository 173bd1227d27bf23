/** How far the stages of a whole run are, as its events say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedEvent } from "../../../coordinator/events/events.js";
import { runFederation } from "../../support/run.js";
import { tinyClients } from "../../support/tiny.js";

type Advance = Extract<LoggedEvent, { type: "stage-advanced" }>;

test("every stage grows to its end, in parts within rounds, and says its rounds and losses", async () => {
  const { events } = await runFederation({
    clients: tinyClients({ clients: 4, train: 8, validation: 4, test: 4 }),
    compare: ["base", "shared", "local"],
    options: { groups: 2, training: { epochs: 2, batch: 8, learningRate: "auto" } },
  });
  const advances = (stage: string): Advance[] =>
    events.filter((event): event is Advance => event.type === "stage-advanced" && event.stage === stage);
  const totals = new Map(events.flatMap((event) => (event.type === "stage-began" ? [[event.stage, event.total]] : [])));
  assert.deepEqual(
    [...totals.keys()],
    [
      "learning rate",
      "train shared",
      "train local",
      "list answers",
      "sketch gradients",
      "estimate affinities",
      "search groups",
      "train groups",
      "boost",
      "weigh",
      "publish",
      "score test rows",
    ],
  );
  for (const [stage, total] of totals) {
    const done = advances(stage).map((event) => event.done);
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
      stage,
    );
    assert(events.some((event) => event.type === "stage-ended" && event.stage === stage));
    if (total === 0) continue;
    assert(Math.abs((done.at(-1) as number) - total) < 1e-6, `${stage} ends with ${done.at(-1)} of ${total}`);
    assert(done.length >= 4, `${stage} is told of ${done.length} times`);
  }
  assert.deepEqual([totals.get("learning rate"), totals.get("search groups")], [0, 0], "their ends are not known");
  const [first, last] = [advances("train shared")[0], advances("train shared").at(-1)];
  assert.match(String(first?.info?.round), /^1\/\d+$/);
  const [round, of] = String(last?.info?.round).split("/");
  assert.equal(round, of);
  assert.equal(typeof last?.info?.loss, "number");
  assert.deepEqual(Object.keys(advances("boost").at(-2)?.info ?? {}), ["step", "group", "loss"]);
  assert.deepEqual(advances("weigh").at(-1)?.info, { clients: "4/4" });
  assert.deepEqual(new Set(advances("train groups").map(({ info }) => info?.group)), new Set(["1/2", "2/2"]));
});
