import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { onceThereIsRoom } from "../../../client/session/room.js";
import { KindredError } from "../../../shared/base/errors.js";
import { silentLog } from "../../../shared/base/log.js";

const FULL = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

/** Work that fails so often, on a clock that only waiting moves. */
async function worked(failures: number, error: Error) {
  let now = 0;
  let tries = 0;
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const result = onceThereIsRoom(
    async () => {
      if (tries++ < failures) throw error;
      return "done";
    },
    {
      log: { ...silentLog, warn: say, info: say },
      signal: new AbortController().signal,
      now: () => now,
      sleep: async (ms) => {
        now += ms;
      },
    },
  );
  const end = await result.catch((thrown: unknown) => thrown);
  return { end, tries, said, ms: now };
}

describe("a client's task on a full disk", () => {
  it("waits until there is room, and says so once", async () => {
    const { end, tries, said } = await worked(9, new KindredError("unavailable", "cannot write", {}, FULL));
    assert.deepEqual([end, tries], ["done", 10]);
    assert.deepEqual(said, [
      "the task waits: this machine has no room left on its disk; free space",
      "the task goes on",
    ]);
  });

  it("fails by itself after five minutes", async () => {
    const { end, ms, said } = await worked(1_000, FULL);
    assert.equal(end, FULL);
    assert.ok(ms >= 300_000 && ms < 330_000, `${ms}`);
    assert.equal(said.length, 1);
  });

  it("fails at once for any other reason", async () => {
    const { tries, said } = await worked(1, new KindredError("task_failed", "not finite"));
    assert.deepEqual([tries, said], [1, []]);
  });
});
