import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bestAlternative } from "../../../coordinator/ensemble/weights.js";

const loss = (nllSum: number) => ({ nllSum, tokens: 10 });

describe("the best of several mixtures", () => {
  it("is the one with the lowest loss over all clients, and the earlier one of equals", () => {
    assert.equal(bestAlternative([[loss(3), loss(1), loss(1)]]), 1);
    assert.equal(
      bestAlternative([
        [loss(1), loss(2)],
        [loss(9), loss(1)],
      ]),
      1,
    );
  });

  it("is the first where no client has scores: a group whose clients all failed must not hold the coordinator", () => {
    assert.equal(bestAlternative([]), 0);
  });
});
