import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { aggregate, type Update } from "../../../coordinator/rounds/aggregate.js";
import type { FloatTensor } from "../../../shared/base/tensors.js";

const tensor = (...values: number[]): FloatTensor => ({ shape: [values.length], data: Float32Array.from(values) });
const update = (client: string, examples: number, tensors: Record<string, FloatTensor>): Update => ({
  client,
  examples,
  tensors: new Map(Object.entries(tensors)),
});

const clientsOf = (updates: readonly Update[]): string[] => updates.map(({ client }) => client);

test("updates are averaged with the weight of their examples", () => {
  const { mean, accepted } = aggregate([update("a", 30, { x: tensor(1, 2) }), update("b", 10, { x: tensor(5, -2) })]);
  assert.deepEqual(Array.from(mean.get("x")!.data), [2, 1]);
  assert.deepEqual(clientsOf(accepted), ["a", "b"]);
});

test("a bad update is left out with its reason and changes nothing for the others", () => {
  const good = [update("a", 1, { x: tensor(1, 2) }), update("b", 3, { x: tensor(5, 6) })];
  const bad = [
    { update: update("nan", 9, { x: tensor(1, Number.NaN) }), says: /holds NaN at element 1/ },
    { update: update("infinite", 9, { x: tensor(Number.POSITIVE_INFINITY, 1) }), says: /holds Infinity/ },
    { update: update("short", 9, { x: tensor(1) }), says: /shape \[1\], should be \[2\]/ },
    { update: update("named", 9, { y: tensor(1, 2) }), says: /lacks the tensor x/ },
    { update: update("more", 9, { x: tensor(1, 2), z: tensor(0) }), says: /z is not part/ },
  ];
  const alone = aggregate(good);
  for (const { update: wrong, says } of bad) {
    const { mean, rejected, accepted } = aggregate([good[0]!, wrong, good[1]!]);
    assert.deepEqual(mean, alone.mean);
    assert.deepEqual(clientsOf(accepted), ["a", "b"]);
    assert.equal(rejected.length, 1);
    assert.equal(rejected[0]!.client, wrong.client);
    assert.match(rejected[0]!.reason, says);
  }
});

test("what is expected decides, even against the majority", () => {
  const expected = new Map([["x", tensor(0, 0)]]);
  const strange = ["a", "b", "c"].map((client) => update(client, 1, { x: tensor(1, 2, 3) }));
  const { mean, accepted } = aggregate([...strange, update("d", 1, { x: tensor(4, 5) })], expected);
  assert.deepEqual(clientsOf(accepted), ["d"]);
  assert.deepEqual(Array.from(mean.get("x")!.data), [4, 5]);
});

test("nothing accepted gives an empty mean", () => {
  assert.equal(aggregate([]).mean.size, 0);
  assert.equal(aggregate([update("a", 1, { x: tensor(Number.NaN) })]).mean.size, 0);
});

test("the average does not depend on the order of clients beyond float32's last digit", () => {
  const values = fc.array(
    fc.record({ examples: fc.integer({ min: 1, max: 1000 }), x: fc.float({ noNaN: true, min: -10, max: 10 }) }),
    {
      minLength: 1,
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(values, (clients) => {
      const updates = clients.map(({ examples, x }, i) => update(String(i), examples, { x: tensor(x) }));
      const one = aggregate(updates).mean.get("x")!.data[0]!;
      const other = aggregate([...updates].reverse()).mean.get("x")!.data[0]!;
      assert.ok(Math.abs(one - other) <= 1e-6 * Math.max(1, Math.abs(one)));
    }),
  );
});
