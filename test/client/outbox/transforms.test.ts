import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FolderMemory, type Memory, ProcessMemory } from "../../../client/outbox/memory.js";
import { encodeReleases } from "../../../client/outbox/releases.js";
import { transformed } from "../../../client/outbox/transforms/chain.js";
import { silentLog } from "../../../shared/base/log.js";
import { SeededRng } from "../../../shared/base/random.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";
import { type CodedTensor, fromCoded } from "../../../shared/transforms/coded.js";
import type { TransformName } from "../../../shared/transforms/names.js";
import { temporaryFolder, trainTask } from "../../support/federation.js";

const SIZE = 500;
const named = (data: Float32Array): NamedTensors => new Map([["w", { shape: [data.length], data }]]);
const START = named(new Float32Array(SIZE).fill(0.5));

/** A round's difference: a small steady drift, far below a step of int8, under a large noise. */
function differenceOf(round: number): Float32Array {
  const rng = new SeededRng(5, "difference", round);
  return Float32Array.from({ length: SIZE }, (_, i) => (i % 64 === 0 ? rng.normal() : 1e-4 * (1 + (i % 7))));
}

async function send(memory: Memory, transform: TransformName, round: number, after: number | undefined) {
  const difference = differenceOf(round);
  const values = named(difference.map((value) => 0.5 + value));
  const transport = { transforms: [transform], training: "shared", round, ...(after === undefined ? {} : { after }) };
  const release = { kind: "update", tensors: values, start: START, sensitivity: {} } as const;
  const { tensors } = await transformed(release, { transport, memory });
  // What was to be sent: the difference as float32 has it behind the start.
  const meant = values.get("w")!.data.map((value) => value - 0.5);
  return { sent: fromCoded(tensors.get("w") as CodedTensor).data, meant };
}

const distance = (a: Float64Array, b: Float64Array): number =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe("int8 with error feedback", () => {
  const sums = async (feedback: boolean, rounds: number) => {
    const memory = new ProcessMemory(silentLog);
    const [sent, meant] = [new Float64Array(SIZE), new Float64Array(SIZE)];
    for (let round = 0; round < rounds; round++) {
      const one = await send(memory, "int8", round, feedback && round > 0 ? round - 1 : undefined);
      one.sent.forEach((value, i) => {
        sent[i]! += value;
        meant[i]! += one.meant[i]!;
      });
    }
    return distance(sent, meant);
  };

  it("sends in sum what was to be sent, up to one round's rounding, however many rounds there are", async () => {
    const [few, many] = [await sums(true, 5), await sums(true, 200)];
    assert.ok(few < 0.02 && many < 0.02, `${few}, ${many}`);
  });

  it("positive control: without it the sums drift apart with the rounds", async () => {
    assert.ok((await sums(false, 200)) > 0.05);
  });
});

describe("a transform", () => {
  it("refuses numbers that are not finite, by tensor and element", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const name of ["fp16", "int8"] as const) {
        const release = {
          kind: "update",
          tensors: named(Float32Array.of(1, value)),
          start: named(new Float32Array(2)),
          sensitivity: {},
        } as const;
        const transport = { transforms: [name], training: "t", round: 1 };
        await assert.rejects(transformed(release, { transport, memory: new ProcessMemory(silentLog) }), {
          code: "task_failed",
          message: new RegExp(`tensor w holds ${value} at element 1`),
        });
      }
    }
  });

  it("leaves tensors whose start the coordinator lacks as they are", async () => {
    const release = {
      kind: "update",
      tensors: named(Float32Array.of(1, 2)),
      start: new Map(),
      sensitivity: {},
    } as const;
    const transport = { transforms: ["int8"], training: "t", round: 1 } as const;
    const { tensors } = await transformed(release, { transport, memory: new ProcessMemory(silentLog) });
    assert.deepEqual(tensors, release.tensors);
  });

  it("gives a task that is done twice the same bytes, also after a restart", async () => {
    const folder = temporaryFolder();
    const bytes = async (round: number, after: number | undefined) => {
      const memory = new FolderMemory(folder.path, silentLog);
      return Buffer.from((await send(memory, "int8", round, after)).sent.buffer);
    };
    try {
      await bytes(1, undefined);
      const first = await bytes(2, 1);
      assert.deepEqual(await bytes(2, 1), first);
      // Control: it did carry something over.
      assert.notDeepEqual(await bytes(2, undefined), first);
    } finally {
      folder.remove();
    }
  });

  it("is not asked for: the release is encoded as it is", async () => {
    const result = {
      kind: "trainAdapter",
      values: { tensors: named(Float32Array.of(1, 2)), start: named(new Float32Array(2)) },
      losses: [],
      examples: 1,
      validation: [],
      cost: { flops: 0, computeSeconds: 0, peakRssBytes: 0 },
    } as const;
    const [plain] = await encodeReleases(trainTask(), result, new ProcessMemory(silentLog));
    assert.equal(plain?.field, "values");
    const transport = { transforms: ["fp16"], training: "t", round: 1 } as const;
    const [coded] = await encodeReleases({ ...trainTask(), transport }, result, new ProcessMemory(silentLog));
    assert.match(Buffer.from(plain!.bytes).toString("latin1"), /"F32"/);
    assert.match(Buffer.from(coded!.bytes).toString("latin1"), /"F16"/);
  });
});

describe("what transforms remember", () => {
  it("is the last round and the one before it, of each training", async () => {
    const folder = temporaryFolder();
    try {
      const memory = new FolderMemory(folder.path, silentLog);
      for (const training of ["shared", "../../group 1"]) {
        await memory.save(training, 1, named(Float32Array.of(1)), undefined);
        await memory.save(training, 3, named(Float32Array.of(3)), 1);
        await memory.save(training, 7, named(Float32Array.of(7)), 3);
        assert.equal(await memory.load(training, 1), undefined);
        assert.deepEqual((await memory.load(training, 3))?.get("w")?.data, Float32Array.of(3));
        assert.deepEqual((await memory.load(training, 7))?.get("w")?.data, Float32Array.of(7));
      }
      const folders = readdirSync(folder.path);
      assert.equal(folders.length, 2);
      for (const name of folders) assert.equal(readdirSync(join(folder.path, name)).length, 2);
    } finally {
      folder.remove();
    }
  });

  it("is kept by the process alone where there is no state folder, and the log says so once", async () => {
    const warnings: string[] = [];
    const memory = new ProcessMemory({ ...silentLog, warn: (message: string) => warnings.push(message) });
    await memory.save("a", 1, named(Float32Array.of(1)), undefined);
    await memory.save("b", 1, named(Float32Array.of(2)), undefined);
    assert.deepEqual((await memory.load("a", 1))?.get("w")?.data, Float32Array.of(1));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /no state folder/);
  });
});
