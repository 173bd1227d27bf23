/** What every strategy's aggregator keeps to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventLoopYield } from "../../../coordinator/algebra/yield.js";
import type { StoredState } from "../../../coordinator/rounds/fold.js";
import type { Strategy, Update, Work } from "../../../coordinator/strategies/strategy.js";
import type { TensorShapes, TensorSource } from "../../../coordinator/strategies/tensors.js";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import { SeededRng } from "../../../shared/base/random.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";
import { MemoryBlobs } from "../../support/memory-blobs.js";
import { B, foldRound, named, roundOf, type TestUpdate, tensor } from "./rounds.js";

const SIZE = 23;
const start: NamedTensors = new Map([...named(drawn("start", 15)), ["i.lora_B.weight", tensor(...drawn("more", 8))]]);

function drawn(label: string, count: number): number[] {
  const rng = new SeededRng(3, label);
  return Array.from({ length: count }, () => rng.normal());
}

/** Updates of clients that move each in its own way. */
function updatesOf(from: NamedTensors, clients: number, round: number): TestUpdate[] {
  return Array.from({ length: clients }, (_, at) => {
    const moves = drawn(`move ${round} ${at}`, SIZE);
    let next = 0;
    const sent = new Map(
      Array.from(from, ([name, { shape, data }]) => [
        name,
        { shape, data: data.map((value) => value + moves[next++]! / 5) },
      ]),
    );
    return { client: `client-${at}`, examples: 1 + ((7 * at) % 5), sent };
  });
}

export function aggregatorContract(name: string, make: () => Strategy): void {
  test(`${name}: any order of arrival gives the same bytes`, async () => {
    const updates = updatesOf(start, 6, 0);
    const clients = updates.map(({ client }) => client);
    const calm = await foldRound({ strategy: make(), updates, start });
    assert.notEqual(calm.ref, undefined);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(updates, { minLength: 6 }), async (arrived) => {
        const other = await foldRound({ strategy: make(), updates: arrived, clients, start });
        assert.deepEqual(other.ref, calm.ref);
        assert.deepEqual(other.state, calm.state);
      }),
      { numRuns: 15 },
    );
    // Control: other updates give other bytes.
    assert.notDeepEqual((await foldRound({ strategy: make(), updates: updatesOf(start, 6, 1), start })).ref, calm.ref);
  });

  test(`${name}: chunks of 1, of 7 and of everything give the same bytes`, async () => {
    for (const from of [start, undefined]) {
      const updates = updatesOf(start, 5, 0);
      const whole = await foldRound({ strategy: make(), updates, start: from, expected: start, chunkValues: 1000 });
      for (const chunkValues of [1, 7]) {
        const parts = await foldRound({ strategy: make(), updates, start: from, expected: start, chunkValues });
        assert.deepEqual(parts.ref, whole.ref);
        assert.deepEqual(parts.state, whole.state);
      }
    }
  });

  test(`${name}: one bad update changes nothing`, async () => {
    const updates = updatesOf(start, 5, 0);
    const alone = await foldRound({ strategy: make(), updates, start });
    const sound = updates[0]!.sent as NamedTensors;
    const with1 = (value: number): NamedTensors => {
      const { shape, data } = sound.get(B)!;
      return new Map([...sound, [B, { shape, data: data.with(11, value) }]]);
    };
    const bad: (NamedTensors | Uint8Array)[] = [
      with1(Number.NaN),
      with1(Number.POSITIVE_INFINITY),
      with1(1e9),
      new Map([...sound, [B, tensor(1, 2)]]),
      new Map([...sound].slice(1)),
      encodeSafetensors(sound).subarray(0, -5),
      new Uint8Array(0),
    ];
    for (const sent of bad) {
      const { ref, state, rejected } = await foldRound({
        strategy: make(),
        start,
        updates: updates.toSpliced(2, 0, { client: "bad", examples: 1000, sent }),
      });
      assert.deepEqual(ref, alone.ref);
      assert.deepEqual(state, alone.state);
      assert.deepEqual(
        rejected.map(({ client }) => client),
        ["bad"],
      );
    }
  });

  test(`${name}: a run that is resumed after each round goes on bit for bit`, async () => {
    const ends = async (resumed: boolean): Promise<unknown[]> => {
      const blobs = new MemoryBlobs();
      let strategy = make();
      let from = start;
      let state: StoredState | undefined;
      const found: unknown[] = [];
      for (let index = 0; index < 4; index++) {
        if (resumed) {
          strategy = make();
          state = state && (JSON.parse(JSON.stringify(state)) as StoredState);
        }
        const folded = await foldRound(
          { strategy, updates: updatesOf(from, 5, index), start: from, state, index },
          blobs,
        );
        found.push(folded.ref, folded.state);
        from = folded.next!;
        state = folded.state;
      }
      return found;
    };
    assert.deepEqual(await ends(true), await ends(false));
  });

  test(`${name}: of 40 updates less than one is in memory`, async () => {
    const { read, written } = await buffersOf(make());
    assert.ok(read > 0 && written > 0);
    assert.ok(
      read + written < 4 * WIDE,
      `${read} bytes to read into, ${written} written from; an update has ${4 * WIDE}`,
    );
  });

  test(`${name}: no update, no movement`, async () => {
    assert.equal((await foldRound({ strategy: make(), updates: [], start })).next, undefined);
  });
}

/** Values of an update that is far larger than a chunk. */
export const WIDE = 12_000;
const CHUNK = 100;

/** Bytes of all buffers that a strategy reads into and writes from, in a round of 40 updates of `WIDE` values in chunks. */
export async function buffersOf(strategy: Strategy): Promise<{ read: number; written: number }> {
  const read = new Set<ArrayBufferLike>();
  const written = new Set<ArrayBufferLike>();
  const shapes: TensorShapes = new Map([[B, { shape: [WIDE, 1] }]]);
  const source = (seed: number): TensorSource => ({
    shapes,
    read: async (_name, from, into) => {
      read.add(into.buffer);
      for (let i = 0; i < into.length; i++) into[i] = Math.sin(seed + from + i);
    },
  });
  const work: Work = {
    shapes,
    start: source(0),
    state: undefined,
    chunkValues: CHUNK,
    create: async () => ({
      append: async (values) => {
        written.add(values.buffer);
      },
      finish: async () => source(1),
      abort: async () => undefined,
    }),
    yieldToEventLoop: eventLoopYield(),
  };
  const updates = Array.from({ length: 40 }, (_, at): Update => {
    return { client: String(at), examples: 1, values: source(at), squaredDistance: at };
  });
  const tested = updates.map(({ client }) => ({ client, sent: new Uint8Array() }));
  const aggregator = strategy.begin(roundOf({ strategy, updates: tested }), work);
  for (const update of updates) assert.equal(await aggregator.accept(update), undefined);
  await aggregator.finish();
  const bytes = (buffers: ReadonlySet<ArrayBufferLike>): number =>
    [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { read: bytes(read), written: bytes(written) };
}
