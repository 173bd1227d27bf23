/** What methods cost: once per task and client, by stage, and independent of the order of arrival. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Books, type Charge } from "../../../coordinator/run/books.js";

const charge = (key: string, client: string, flops: number): Charge => ({
  key,
  client,
  flops,
  bytesUp: 1,
  bytesDown: 2,
});

test("a task is paid once by each method that it serves, and once more by none", () => {
  const books = new Books();
  books.charge(["shared", "kindred"], "train", [charge("train/0", "alice", 5)]);
  books.charge(["kindred"], "boost", [charge("train/0", "alice", 5)]);
  const { shared, kindred, local } = books.costs;
  assert.deepEqual([shared.flops, kindred.flops, local.flops], [5, 5, 0]);
  assert.deepEqual(Object.keys(kindred.stages), ["train"]);
});

test("a method's cost is the sum of its stages", async () => {
  const books = new Books();
  await books.time(["kindred"], "sketch", async () => books.charge(["kindred"], "sketch", [charge("sketch", "a", 3)]));
  books.charge(["kindred"], "train", [charge("train/0", "a", 4), charge("train/0", "b", 6)]);
  books.compute("kindred", "estimate", 7);
  const { stages, ...total } = books.costs.kindred;
  for (const field of ["flops", "bytesUp", "bytesDown", "wallSeconds"] as const) {
    const sum = Object.values(stages).reduce((before, stage) => before + stage[field], 0);
    assert.ok(Math.abs(total[field] - sum) < 1e-12, field);
  }
  assert.deepEqual([total.flops, total.bytesUp, total.bytesDown], [20, 3, 6]);
  assert.ok(stages.sketch!.wallSeconds > 0 && stages.train!.wallSeconds === 0);
});

test("work that fails is timed too", async () => {
  const books = new Books();
  await assert.rejects(
    books.time(["local"], "train", () => Promise.reject(new Error("no"))),
    /no/,
  );
  assert.ok(books.costs.local.wallSeconds > 0);
});

test("sums do not depend on the order of arrival, also where operations are more than 2^53", () => {
  const charges = Array.from({ length: 7 }, (_, i) => charge(`train/local-${i}`, `c${i}`, 2 ** 53 + 2 * i + 1e3 ** i));
  const sumOf = (order: readonly Charge[]): number => {
    const books = new Books();
    for (const each of order) books.charge(["local"], "train", [each]);
    return books.costs.local.flops;
  };
  // Positive control: summed as they come, some orders differ.
  const plain = (order: readonly Charge[]): number => order.reduce((sum, { flops }) => sum + flops, 0);
  assert.ok(
    new Set([charges, charges.toReversed(), [...charges.slice(3), ...charges.slice(0, 3)]].map(plain)).size > 1,
  );
  fc.assert(
    fc.property(
      fc.shuffledSubarray(charges, { minLength: charges.length }),
      (order) => sumOf(order) === sumOf(charges),
    ),
  );
});
