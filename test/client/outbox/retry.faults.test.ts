import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sayable } from "../../../client/outbox/results.js";
import { backoffMs, retrying } from "../../../client/outbox/retry.js";
import { ERROR_CODES, type ErrorCode, KindredError } from "../../../shared/base/errors.js";
import { RETRYABLE } from "../../../shared/wire/errors.js";

/** Attempts that a call gets whose every attempt fails so. The wait before the fifth is cut short by the signal. */
async function attemptsOf(code: ErrorCode): Promise<{ attempts: number; ended: ErrorCode }> {
  const controller = new AbortController();
  let attempts = 0;
  try {
    await retrying(
      async () => {
        attempts++;
        throw new KindredError(code, "again");
      },
      { signal: controller.signal, random: () => -1, onRetry: (_, attempt) => attempt === 5 && controller.abort() },
    );
  } catch (error) {
    return { attempts, ended: (error as KindredError).code };
  }
  throw new Error("it cannot have succeeded");
}

describe("a call that fails", () => {
  for (const code of ERROR_CODES) {
    const away = code === "unavailable" || code === "state_unavailable";
    const expected = away ? 5 : code === "checksum_mismatch" ? 3 : 1;
    it(`with ${code} is tried ${expected === 5 ? "until it is stopped" : `${expected} times`}`, async () => {
      assert.deepEqual(await attemptsOf(code), {
        attempts: expected,
        ended: away ? "cancelled" : code,
      });
      assert.equal(RETRYABLE[code], expected > 1);
    });
  }

  it("is not tried at all for an error that is not ours", async () => {
    const options = { signal: new AbortController().signal, random: () => 0 };
    await assert.rejects(
      retrying(() => Promise.reject(new TypeError("a defect")), options),
      (error) => error instanceof KindredError && error.code === "internal" && error.message === "a defect",
    );
  });

  it("waits from the shortest again once something moved", async () => {
    const waits: number[] = [];
    let calls = 0;
    const done = retrying(
      async (moved) => {
        calls++;
        if (calls === 3) moved();
        if (calls < 5) throw new KindredError("unavailable", "cut");
        return "through";
      },
      { signal: new AbortController().signal, random: () => -1, onRetry: (_, attempt) => waits.push(attempt) },
    );
    assert.equal(await done, "through");
    assert.deepEqual(waits, [1, 2, 1, 2]);
  });
});

describe("waits", () => {
  it("double from 100 ms to 3 s, half of each left to chance", () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 20].map((attempt) => [backoffMs(attempt, 0), backoffMs(attempt, 1)]),
      [
        [50, 100],
        [100, 200],
        [200, 400],
        [400, 800],
        [800, 1_600],
        [1_500, 3_000],
        [1_500, 3_000],
      ],
    );
  });
});

describe("what a client says of its errors", () => {
  for (const code of ERROR_CODES) {
    const quiet = ["invalid_data", "invalid_config", "internal"].includes(code);
    it(`${code} ${quiet ? "keeps its message at home" : "carries its message"}`, () => {
      const said = sayable(new KindredError(code, "row 7: my diary"));
      assert.equal(said.code, code);
      assert.equal(said.message.includes("diary"), !quiet);
    });
  }
});
