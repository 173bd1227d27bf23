import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { openUpdate } from "../../../coordinator/inbox/update.js";
import { chunksOf, tensorsInMemory } from "../../../coordinator/strategies/tensors.js";
import { encodeRawSafetensors, type RawTensor } from "../../../shared/adapters/safetensors-raw.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";
import { encodeCoded, fromCoded, type OutTensor, toHalves, toInt8 } from "../../../shared/transforms/coded.js";
import type { TransformName } from "../../../shared/transforms/names.js";

const floats = (length: number, of: (i: number) => number): FloatTensor => ({
  shape: [length],
  data: Float32Array.from({ length }, (_, i) => of(i)),
});

function blobsOf(bytes: Uint8Array) {
  const ref = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
  const range = async (_: unknown, from: number, length: number) => Buffer.from(bytes.subarray(from, from + length));
  return { ref, blobs: { range } };
}

async function read(bytes: Uint8Array, transform: TransformName, start: NamedTensors, chunk = 100) {
  const { ref, blobs } = blobsOf(bytes);
  const options = { transforms: [transform], start: tensorsInMemory(start), source: "update of mallory" };
  const source = await openUpdate(blobs, ref, options);
  const tensors = new Map<string, Float32Array>();
  for (const { name, from, count } of chunksOf(source.shapes, chunk)) {
    const whole = tensors.get(name) ?? new Float32Array(source.shapes.get(name)!.shape.reduce((a, b) => a * b, 1));
    tensors.set(name, whole);
    await source.read(name, from, whole.subarray(from, from + count));
  }
  return tensors;
}

describe("an update that transforms have changed", () => {
  const start = new Map([
    ["b", floats(130, (i) => 1 + i / 7)],
    ["a", floats(3, (i) => -i)],
  ]);
  const whole = floats(5, (i) => i * 0.1);
  for (const [name, code] of [
    ["int8", toInt8],
    ["fp16", toHalves],
  ] as const) {
    it(`is read as its start and its difference, whatever the chunks are (${name})`, async () => {
      const difference = new Map([
        ["b", floats(130, (i) => Math.sin(i) / 100)],
        ["a", floats(3, (i) => i / 3)],
      ]);
      const coded = new Map(Array.from(difference, ([key, tensor]) => [key, code(tensor)] as const));
      const bytes = encodeCoded(new Map<string, OutTensor>([...coded, ["fresh", whole]]));
      const property = fc.asyncProperty(fc.integer({ min: 1, max: 140 }), async (chunk) => {
        const tensors = await read(bytes, name, start, chunk);
        assert.deepEqual([...tensors.keys()], ["b", "a", "fresh"]);
        assert.deepEqual(tensors.get("fresh"), whole.data);
        for (const [key, values] of tensors) {
          if (key === "fresh") continue;
          const sent = fromCoded(coded.get(key)!).data;
          assert.deepEqual(
            values,
            start.get(key)!.data.map((value, i) => value + sent[i]!),
          );
        }
      });
      await fc.assert(property, { numRuns: 30 });
    });
  }

  const codes: RawTensor = { dtype: "I8", shape: [130], data: new Int8Array(130).fill(1) };
  const scales = (data: readonly number[]): RawTensor => ({
    dtype: "F32",
    shape: [data.length],
    data: Float32Array.from(data),
  });
  const good: [string, RawTensor][] = [
    ["b", codes],
    ["b::scales", scales([1, 1, 1])],
  ];
  const hostile: readonly (readonly [string, RegExp, readonly (readonly [string, RawTensor])[]])[] = [
    [
      "too few scales",
      /"b" has scales of F32 \[2\]; expected F32 \[3\]/,
      [
        ["b", codes],
        ["b::scales", scales([1, 1])],
      ],
    ],
    ["no scales", /"b" has no scales/, [["b", codes]]],
    [
      "scales in another form",
      /"b" has scales of F32 \[3, 1\]/,
      [
        ["b", codes],
        ["b::scales", { ...scales([1, 1, 1]), shape: [3, 1] }],
      ],
    ],
    [
      "scales that are codes",
      /"b" has scales of I8/,
      [
        ["b", codes],
        ["b::scales", { dtype: "I8", shape: [3], data: new Int8Array(3) }],
      ],
    ],
    [
      "a scale that is no number",
      /"b::scales" holds NaN at element 1/,
      [
        ["b", codes],
        ["b::scales", scales([1, Number.NaN, 1])],
      ],
    ],
    [
      "an infinite scale",
      /holds Infinity at element 2/,
      [
        ["b", codes],
        ["b::scales", scales([1, 1, 1 / 0])],
      ],
    ],
    [
      "a negative scale",
      /holds -1 at element 0/,
      [
        ["b", codes],
        ["b::scales", scales([-1, 1, 1])],
      ],
    ],
    ["scales of nothing", /"c::scales" holds scales of no tensor/, [...good, ["c::scales", scales([1])]]],
    ["values where a difference was asked for", /"b" is F32; expected I8/, [["b", { ...scales(Array(130).fill(1)) }]]],
    [
      "halves where int8 was asked for",
      /"b" is F16; expected I8/,
      [
        ["b", { dtype: "F16", shape: [130], data: new Uint16Array(130) }],
        ["b::scales", scales([1])],
      ],
    ],
    [
      "a difference to a start that is not there",
      /"new" is I8; expected F32/,
      [
        ["new", codes],
        ["new::scales", scales([1, 1, 1])],
      ],
    ],
  ];
  for (const [what, message, tensors] of hostile) {
    it(`is refused as its client's fault where it holds ${what}`, async () => {
      await assert.rejects(read(encodeRawSafetensors(new Map(tensors)), "int8", start), (error: Error) => {
        assert.equal((error as { code?: string }).code, "invalid_message", error.message);
        assert.match(error.message, /^update of mallory: /);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it("control: the same file without the fault is read", async () => {
    const tensors = await read(encodeRawSafetensors(new Map(good)), "int8", start);
    assert.deepEqual([...tensors.keys()], ["b"]);
  });
});
