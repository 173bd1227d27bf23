/** A strategy that does not wait for everybody, in a whole run over gRPC. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TaskRunner } from "../../client/session/session.js";
import { defineStrategy } from "../../coordinator/strategies/define.js";
import { KindredError } from "../../shared/base/errors.js";
import { runFederation } from "../support/run.js";
import { tinyClients } from "../support/tiny.js";

const CLIENTS = tinyClients({ clients: 4 });
const SLOW = "c3";
const OPTIONS = {
  groups: 1,
  boosting: { rounds: 0 },
  training: { epochs: 2, batch: 8, learningRate: 0.01, strategy: { kind: "custom", name: "quorum" } },
};

test("a client that never answers after the first round holds nobody up, is no fault, and takes part in the rest", async () => {
  const asked = { trained: 0, withdrawn: 0 };
  const slow = (honest: TaskRunner): TaskRunner => ({
    run: async (task, io) => {
      if (task.kind !== "trainAdapter" || task.start === undefined) return honest.run(task, io);
      asked.trained++;
      await new Promise((resolve) => io.signal.addEventListener("abort", resolve, { once: true }));
      asked.withdrawn++;
      throw new KindredError("cancelled", "not wanted any more");
    },
  });
  const arrivals: number[] = [];
  const updates: number[] = [];
  const quorum = defineStrategy({
    name: "quorum",
    closes: (arrived, { index }) => {
      const enough = arrived.length >= (index === 0 ? 4 : 3);
      if (enough) arrivals.push(arrived.length);
      return enough;
    },
    combine: (values) => {
      updates.push(values.length);
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    },
  });
  const { outcome, faults } = await runFederation({
    clients: CLIENTS,
    runners: { [SLOW]: slow },
    options: OPTIONS,
    strategies: [quorum],
    // Heartbeats every second tell a client that its task is withdrawn.
    silenceMs: 6000,
  });
  assert.deepEqual(faults, []);
  assert.ok(arrivals.length > 2);
  assert.deepEqual(new Set(arrivals.slice(1)), new Set([3]));
  assert.deepEqual(new Set(updates), new Set([4, 3]));
  assert.ok(asked.trained >= 1 && asked.withdrawn === asked.trained, JSON.stringify(asked));
  assert.equal(outcome.members.length, 1);
  const scores = outcome.methods.get("kindred");
  assert.deepEqual([...(scores?.keys() ?? [])].sort(), CLIENTS.map(({ client }) => client).sort());
});
