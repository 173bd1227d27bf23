import assert from "node:assert/strict";
import test from "node:test";
import type { TaskRunner } from "../../client/session/session.js";
import { runFederation } from "../support/run.js";
import { tinyClients } from "../support/tiny.js";

test("a calibrated run foresees for clients that stay alone what their own adapters really reached, and pays these once", async () => {
  const clients = tinyClients({ clients: 4, validation: 12 });
  /** Nats a row, of own adapters. */
  const reached: number[] = [];
  let spent = 0;
  const listening = (honest: TaskRunner): TaskRunner => ({
    run: async (task, io) => {
      const result = await honest.run(task, io);
      // Test scores are the report's.
      if (task.kind !== "evaluate" || task.split !== "test") spent += result.cost.flops;
      if (task.kind === "evaluate" && result.kind === "evaluate" && task.split === "validation") {
        const [own, common, ...others] = result.scores;
        if (common !== undefined && others.length === 0) reached.push(own!.nllSum / own!.examples);
      }
      return result;
    },
  });
  const { outcome, faults, costs } = await runFederation({
    clients,
    runners: Object.fromEntries(clients.map(({ client }) => [client, listening])),
    options: {
      groups: clients.length,
      boosting: { rounds: 0 },
      training: { epochs: 10, batch: 8, learningRate: 0.03 },
      estimation: { dim: 64, subsets: 6, calibrate: true },
    },
  });
  assert.deepEqual(faults, []);
  assert.equal(reached.length, clients.length);
  const mean = reached.reduce((a, b) => a + b, 0) / reached.length;
  const { value } = outcome.estimate.facts.forecast.loss;
  assert.ok(Math.abs(value - mean) < 1e-3 * mean, `${value}, not ${mean} of ${reached}`);
  const { estimate, search } = outcome.estimate.flops;
  const due = spent + estimate + search;
  assert.ok(Math.abs(costs.kindred.flops - due) < 1e-9 * due, `${costs.kindred.flops}, not ${due}`);
});
