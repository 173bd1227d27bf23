/** Damaged bytes never crash the safetensors reader, and never make it allocate more than they hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeSafetensors, parseSafetensors } from "../../../shared/adapters/safetensors.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { NamedTensors } from "../../../shared/base/tensors.js";

const tensors: fc.Arbitrary<NamedTensors> = fc
  .uniqueArray(
    fc.record({
      name: fc.string({ unit: "binary", maxLength: 12 }).filter((name) => name !== "__metadata__"),
      shape: fc.array(fc.nat(3), { maxLength: 3 }),
    }),
    { selector: ({ name }) => name, maxLength: 5 },
  )
  .map(
    (list) =>
      new Map(
        list.map(({ name, shape }, t) => {
          const size = shape.reduce((a, b) => a * b, 1);
          return [name, { shape, data: Float32Array.from({ length: size }, (_, i) => t + i / 8) }];
        }),
      ),
  );

/** Parses; a refusal must be a KindredError, a success must not hold more than twice the bytes. */
function parse(bytes: Uint8Array): "read" | "refused" {
  try {
    let held = 0;
    for (const { data } of parseSafetensors(bytes).tensors.values()) held += data.byteLength;
    assert.ok(held <= 2 * bytes.length);
    return "read";
  } catch (error) {
    if (error instanceof KindredError && error.code === "invalid_message") return "refused";
    throw error;
  }
}

test("any tensors are decoded as encoded, in any width that represents them", () => {
  fc.assert(
    fc.property(tensors, fc.constantFrom("F32", "F16", "BF16" as const), (given, dtype) => {
      assert.deepEqual([...parseSafetensors(encodeSafetensors(given, { dtype })).tensors], [...given]);
    }),
    { numRuns: 200 },
  );
});

test("mutated bytes are read or refused, nothing else", () => {
  const seen = { read: 0, refused: 0 };
  fc.assert(
    fc.property(
      tensors,
      fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(), { freq: 4 }),
      (given, changes, cut) => {
        let bytes: Uint8Array = encodeSafetensors(given);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        if (cut !== null) bytes = bytes.subarray(0, cut % bytes.length);
        seen[parse(bytes)]++;
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(seen.read > 0 && seen.refused > 0, "the mutations must exercise both ends");
});

test("headers made of any JSON are read or refused, nothing else", () => {
  const count = fc.oneof(fc.nat(40), fc.constantFrom(-1, 0.5, 2 ** 53, 1e308, "4", null));
  const entry = fc.record(
    {
      dtype: fc.oneof(fc.constantFrom("F32", "F16", "I64", "F4", "F6_E2M3"), fc.string()),
      shape: fc.oneof(fc.array(count, { maxLength: 3 }), fc.jsonValue()),
      data_offsets: fc.oneof(fc.tuple(count, count), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  const header = fc.oneof(
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("__metadata__", "__proto__")), fc.oneof(entry, fc.jsonValue())),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(header, fc.nat(64), (value, dataBytes) => {
      const text = Buffer.from(JSON.stringify(value), "utf8");
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.length));
      parse(Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
    }),
    { numRuns: 2000 },
  );
});
