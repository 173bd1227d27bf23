/** The contract of runtimes, for runtimes on the processor. GPUs and further models are in the long tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CANDIDATES } from "../../../shared/runtimes/choose.js";
import { difference, GPT2, keepsContract, LLAMA, NF4, OPERATION } from "../../support/contract.js";

for (const candidate of CANDIDATES) {
  if (candidate.name === "onnx-cpu")
    await keepsContract(candidate, [LLAMA]); // the reference itself
  else if (candidate.device === "cpu" || candidate.device === "wasm")
    await keepsContract(candidate, [LLAMA, GPT2, NF4]);
}

test("positive control: the contract finds a wrong number and a missing number", () => {
  assert.ok(difference(Float32Array.of(1, 2.001), Float32Array.of(1, 2)) > OPERATION);
  assert.equal(difference(Float32Array.of(1, Number.NaN), Float32Array.of(1, 2)), Number.POSITIVE_INFINITY);
  assert.equal(difference(Float32Array.of(1), Float32Array.of(1, 2)), Number.POSITIVE_INFINITY);
});
