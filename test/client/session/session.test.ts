import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { parseSafetensors } from "../../../shared/adapters/safetensors.js";
import { transferBytes } from "../../../shared/wire/services.js";
import {
  ADAPTER,
  adapterBytes,
  type Coordinator,
  clientOf,
  coordinatorAt,
  evaluateTask,
  incremented,
  MODEL_HASH,
  ROWS,
  temporaryFolder,
  trainTask,
} from "../../support/federation.js";

describe("a client and a coordinator over gRPC", () => {
  const folder = temporaryFolder();
  let coordinator: Coordinator;

  before(async () => {
    coordinator = await coordinatorAt(folder.path);
  });
  after(async () => {
    await coordinator.close();
    folder.remove();
  });

  it("carry every kind of task there and its result back", async (t) => {
    const { pool } = coordinator;
    const client = clientOf(coordinator.address, "alice");
    t.after(() => client.stop());
    const enrolled = await pool.whenEnrolled(1);
    assert.deepEqual(enrolled, [{ name: "alice", modelHash: MODEL_HASH, rows: ROWS, live: true }]);

    const start = await pool.putBlob(adapterBytes(2_500_000, "start"));
    const trained = await pool.run("train", "alice", trainTask(start));
    assert.ok(trained.ok);
    assert.equal(trained.result.kind, "trainAdapter");
    assert.deepEqual(trained.result.losses, [1, 0.5, Math.fround(1 / 3)]);
    assert.equal(trained.result.bestStep, undefined);
    assert.equal(trained.result.cost.flops, 12);
    assert.deepEqual(
      Buffer.from(await pool.getBlob(trained.result.values)),
      Buffer.from(incremented(adapterBytes(2_500_000, "start"))),
    );

    const sketch = {
      kind: "sketchGradients",
      adapter: ADAPTER,
      dim: 400,
      projections: 2,
      seed: 2 ** 52 + 1,
      examplesLimit: 200,
      negatives: 4,
      otherClientAnswers: [[[3], [3, 70_000]], [[5]]],
      otherClientAnswersLimit: 3,
      labels: true,
    } as const;
    const sketched = await pool.run("sketch", "alice", sketch);
    assert.ok(sketched.ok);
    const { tensors } = parseSafetensors(await pool.getBlob(sketched.result.rows));
    assert.equal(tensors.get("values")?.data.length, 400);

    const evaluated = await pool.run("evaluate", "alice", evaluateTask([start, trained.result.values]));
    assert.ok(evaluated.ok);
    assert.deepEqual(evaluated.result.scores, [{ nllSum: 1.5, tokens: 9, correct: 2, choiceRows: 3, examples: 3 }]);

    const members = [start, trained.result.values];
    const weighed = await pool.run("weights", "alice", {
      kind: "fitWeights",
      adapter: ADAPTER,
      members,
      prior: [0.25, 0.75],
      strength: 2,
    });
    assert.ok(weighed.ok);
    assert.deepEqual(weighed.result.weights, [0.25, 0.75]);

    // The bytes of the outcomes are those that really flowed: nothing was cut, so only polls and small calls come on top.
    const outcomes = [trained, sketched, evaluated, weighed];
    const up = outcomes.reduce((sum, outcome) => sum + outcome.bytesUp, 0);
    const down = outcomes.reduce((sum, outcome) => sum + outcome.bytesDown, 0);
    assert.ok(trained.bytesUp > transferBytes(2_500_000));
    const seen = coordinator.traffic.clients().get("alice");
    assert.ok(seen);
    assert.ok(seen.up >= up && seen.up < up * 1.005, `up ${seen.up} of ${up}`);
    assert.ok(seen.down >= down * 0.9999 && seen.down < down * 1.005, `down ${seen.down} of ${down}`);

    await pool.finish("all done");
    assert.deepEqual(await client.end, { finished: true, reason: "all done" });
  });
});
