/** What a round's fold takes and refuses, whatever the strategy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RoundFold } from "../../../coordinator/rounds/fold.js";
import { defineStrategy } from "../../../coordinator/strategies/define.js";
import { fedavg } from "../../../coordinator/strategies/fedavg.js";
import { tensorsInMemory } from "../../../coordinator/strategies/tensors.js";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";
import { MemoryBlobs } from "../../support/memory-blobs.js";
import { B, foldRound, LORA, named, roundOf, STEPS, tensor, valuesOf } from "../strategies/rounds.js";

const mean = fedavg({ learningRate: 1, momentum: 0 });
const a = (rank: number, ...values: number[]): FloatTensor => ({
  shape: [rank, values.length / rank],
  data: Float32Array.from(values),
});
const whole = (drawn: FloatTensor, trained: FloatTensor): NamedTensors =>
  new Map([
    ["h.lora_A.weight", drawn],
    [B, trained],
  ]);

test("a bad update is left out with its reason and changes nothing for the others", async () => {
  const good = [
    { client: "a", examples: 1, sent: named([1, 2]) },
    { client: "b", examples: 3, sent: named([5, 6]) },
  ];
  const bad: [string, NamedTensors | Uint8Array, RegExp][] = [
    ["nan", named([1, Number.NaN]), /holds NaN at element 1/],
    ["infinite", named([Number.POSITIVE_INFINITY, 1]), /holds Infinity/],
    ["far", named([0, 1e6]), /holds 1000000 at element 1, farther from its start than 1000 steps/],
    ["short", named([1]), /shape \[1, 1\], should be \[2, 1\]/],
    ["other", new Map([["y", tensor(1, 2)]]), /lacks the tensor h\.lora_B\.weight/],
    ["more", new Map([...named([1, 2]), ["z", tensor(0)]]), /z is not part/],
    ["cut", encodeSafetensors(named([1, 2])).subarray(0, -3), /update of cut: .*truncated/],
    ["text", Buffer.from("no tensors at all"), /update of text: .*not a safetensors file/],
  ];
  const alone = await foldRound({ strategy: mean, updates: good, start: named([0, 0]) });
  for (const [client, sent, says] of bad) {
    const updates = [good[0]!, { client, examples: 9, sent }, good[1]!];
    const { next, rejected, accepted } = await foldRound({ strategy: mean, updates, start: named([0, 0]) });
    assert.deepEqual(next, alone.next, client);
    assert.equal(accepted, 2);
    assert.deepEqual(
      rejected.map((rejection) => rejection.client),
      [client],
    );
    assert.match(rejected[0]!.reason, says);
  }
});

test("in a first round the shapes of most updates are right, and a client with others is refused by name", async () => {
  const most = whole(a(1, 0.5, 0.5), tensor(1, 2));
  const strange = whole(a(1, 0.5, 0.5, 0.5), tensor(1, 2));
  const updates = [
    { client: "strange", sent: strange },
    { client: "a", sent: most },
    { client: "b", sent: most },
  ];
  const { next, rejected } = await foldRound({ strategy: mean, updates });
  assert.deepEqual(valuesOf(next!), [1, 2]);
  assert.deepEqual(rejected, [
    { client: "strange", reason: "tensor h.lora_A.weight has shape [1, 3], should be [1, 2]" },
  ]);
  const tied = await foldRound({ strategy: mean, updates: updates.slice(0, 2) });
  assert.deepEqual(
    tied.rejected.map(({ client }) => client),
    ["a"],
    "of two that differ, the first client's are right",
  );
});

test("the shapes that a run has seen decide, even against the majority", async () => {
  const updates = [
    ...["a", "b", "c"].map((client) => ({ client, sent: whole(a(1, 1, 1, 1), tensor(1)) })),
    { client: "d", sent: whole(a(1, 1, 1), tensor(4)) },
  ];
  const expected = whole(a(1, 0, 0), tensor(0));
  const { next, accepted } = await foldRound({ strategy: mean, updates, expected });
  assert.equal(accepted, 1);
  assert.deepEqual(valuesOf(next!), [4]);
});

test("an update that cannot be an adapter of the specification has no voice in a first round", async () => {
  const updates = [
    { client: "a", sent: whole(a(2, 1, 1), tensor(1)) },
    { client: "b", sent: whole(a(2, 1, 1), tensor(1)) },
    { client: "c", sent: whole(a(1, 1, 1), tensor(1)) },
  ];
  const { accepted, rejected } = await foldRound({ strategy: mean, updates });
  assert.equal(accepted, 1);
  assert.match(rejected[0]!.reason, /should have rank 1/);
});

test("nothing accepted moves nothing, and keeps the state", async () => {
  const state = { tensors: {}, numbers: { rounds: 4 } };
  const strategy = fedavg({ learningRate: 1, momentum: 0.5 });
  const updates = [{ client: "a", sent: named([Number.NaN]) }];
  const folded = await foldRound({ strategy, updates, start: named([0]), state });
  assert.equal(folded.next, undefined);
  assert.deepEqual(folded.state, state);
  assert.equal((await foldRound({ strategy, updates: [], start: named([0]), state })).next, undefined);
});

test("a strategy may refuse an update, and what it returns must have the updates' shapes", async () => {
  const picky = defineStrategy({
    name: "picky",
    begin: (_round, { start }) => {
      let taken = 0;
      return {
        accept: async ({ client }) => {
          if (taken++ === 0) return undefined;
          return { client, reason: "one is enough" };
        },
        finish: async () => ({ next: start }),
      };
    },
  });
  const updates = ["a", "b"].map((client) => ({ client, sent: named([1, 2]) }));
  const { next, accepted, rejected } = await foldRound({ strategy: picky, updates, start: named([7, 8]) });
  assert.deepEqual(valuesOf(next!), [7, 8]);
  assert.equal(accepted, 1);
  assert.deepEqual(rejected, [{ client: "b", reason: "one is enough" }]);
  const wrong = defineStrategy({
    name: "wrong",
    begin: () => ({ accept: async () => undefined, finish: async () => ({ next: tensorsInMemory(named([1])) }) }),
  });
  await assert.rejects(
    foldRound({ strategy: wrong, updates, start: named([7, 8]) }),
    /strategy wrong: .*has shape \[1, 1\], should be \[2, 1\]/,
  );
});

test("a start that is not there is an error of the round, not of the clients", async () => {
  const blobs = new MemoryBlobs();
  const updates = [{ client: "a", sent: named([1]) }];
  const round = roundOf({ strategy: mean, updates });
  const start = { sha256: "0".repeat(64), size: 100 };
  const fold = new RoundFold({
    blobs,
    strategy: mean,
    round,
    adapter: LORA,
    start,
    state: undefined,
    expected: undefined,
  });
  const values = blobs.put(encodeSafetensors(named([1])));
  await fold.accept({ client: "a", examples: 1, values, steps: STEPS });
  await assert.rejects(fold.finish(), { code: "not_found" });
});
