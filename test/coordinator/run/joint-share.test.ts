import assert from "node:assert/strict";
import { test } from "node:test";
import { JointShare } from "../../../coordinator/run/joint-share.js";

test("the share of the whole is the weighted sum of the parts, and never falls", () => {
  const shares = new JointShare(
    new Map([
      ["a", 3],
      ["b", 1],
    ]),
  );
  assert.equal(shares.set("b", 0.5), 0.125);
  assert.equal(shares.set("b", 0.25), 0.125);
  assert.equal(shares.set("a", 1), 0.875);
  assert.equal(shares.set("b", 7), 1);
});

test("workers without work have done nothing of it", () => {
  assert.equal(new JointShare(new Map([["a", 0]])).set("a", 1), 0);
});

test("the share is 1 when all have ended, whatever the order and the steps", () => {
  const names = Array.from({ length: 50 }, (_, at) => `c${at}`);
  const shares = new JointShare(new Map(names.map((name, at) => [name, 1 / (at + 1)])));
  for (const step of [0.1, 0.3, 0.7]) for (const name of names) assert.ok(shares.set(name, step) < 1);
  for (const name of names.slice(1)) assert.ok(shares.set(name, 1) < 1);
  assert.equal(shares.set("c0", 1), 1);
});
