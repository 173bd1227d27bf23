import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  adapterBytes,
  clientOf,
  coordinatorAt,
  incremented,
  temporaryFolder,
  trainTask,
} from "../support/federation.js";

describe("a hundred clients in one process", () => {
  it("train in parallel while one of them always fails, and all go home", async () => {
    const folder = temporaryFolder();
    const coordinator = await coordinatorAt(folder.path);
    const names = Array.from({ length: 100 }, (_, i) => `client-${String(i).padStart(3, "0")}`);
    const fail = { run: () => Promise.reject(new Error("broken")) };
    const clients = names.map((name, i) => clientOf(coordinator.address, name, i === 13 ? { runner: fail } : {}));
    try {
      await coordinator.pool.whenEnrolled(names.length);
      let start = await coordinator.pool.putBlob(adapterBytes(50_000, "start"));
      for (let round = 0; round < 3; round++) {
        const key = `round-${round}`;
        const outcomes = await Promise.all(names.map((name) => coordinator.pool.run(key, name, trainTask(start))));
        assert.deepEqual(
          outcomes.flatMap((outcome, i) => (outcome.ok ? [] : [i])),
          [13],
        );
        const expected = incremented(await coordinator.pool.getBlob(start));
        for (const outcome of outcomes) {
          if (!outcome.ok) continue;
          assert.ok(Buffer.from(await coordinator.pool.getBlob(outcome.result.values)).equals(expected));
          start = outcome.result.values;
        }
      }
      await coordinator.pool.finish("enough", { finished: false });
      const ends = await Promise.all(clients.map(({ end }) => end));
      assert.deepEqual(new Set(ends.map(({ reason, finished }) => `${reason} ${finished}`)), new Set(["enough false"]));
    } finally {
      await Promise.all(clients.map((client) => client.stop()));
      await coordinator.close();
      folder.remove();
    }
  });
});
