/** JSON with numbers as they are written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseExactJson, sameNumber, WrittenNumber } from "../../../shared/base/exact-json.js";

const NUMBERS = ["0", "-0", "7", "1.0", "1.50", "0.1", "1E5", "1e5", "1e400", "-1e-7", "0.0000001", "0.000001", "1e21"];
const LARGE = [
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "1234567890.1234567890",
  "12345678901234567890123",
];

test("a number whose text a double does not give back keeps it; others are JavaScript's", () => {
  for (const text of [...NUMBERS, ...LARGE]) {
    const value = parseExactJson(`{"a": [${text}]}`) as { a: [unknown] };
    assert.equal(String(value.a[0]), text);
    assert.equal(typeof value.a[0], String(Number(text)) === text ? "number" : "object");
  }
});

test("everything else is as JSON.parse reads it", () => {
  const any = fc.json({ maxDepth: 3 });
  const number = fc.constantFrom(...NUMBERS, ...LARGE);
  const tricky = fc.constantFrom(
    '"1.0 \\" 1.0"',
    '"\\\\"',
    '"2024-01-05 3.50 -0"',
    '{"__proto__": 1.0}',
    '{"a": 1, "a": 2.0}',
  );
  /** Numbers in place of the kept texts. */
  const plain = (value: unknown): unknown => {
    if (value instanceof WrittenNumber) return Number(value.text);
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== "object" || value === null) return value;
    const copy = {};
    for (const [key, inner] of Object.entries(value)) {
      Object.defineProperty(copy, key, { value: plain(inner), enumerable: true, configurable: true, writable: true });
    }
    return copy;
  };
  fc.assert(
    fc.property(fc.array(fc.oneof(any, number, tricky), { maxLength: 5 }), (parts) => {
      const text = `[${parts.join(", ")}]`;
      assert.deepEqual(plain(parseExactJson(text)), JSON.parse(text));
    }),
  );
});

test("what is no JSON is refused as JSON.parse refuses it", () => {
  for (const text of ['{"a": 1.0', "1.0.0", "[1.0,]", '{"a": 01}', '"\u0001 1.0"', "NaN"]) {
    assert.throws(() => parseExactJson(text), SyntaxError);
  }
});

test("two texts are one number by their exact values", () => {
  for (const [a, b] of [
    ["1", "1.0"],
    ["100", "1E2"],
    ["0.10", "1e-1"],
    ["-0", "0"],
    ["10", "+10.00"],
    [" 1", "1"],
  ] as const) {
    assert.ok(sameNumber(a, b), `${a} ${b}`);
  }
  for (const [a, b] of [
    ["9007199254740993", "9007199254740992"],
    ["1", "-1"],
    ["1", "10"],
    ["a", "a"],
    ["", "0"],
  ] as const) {
    assert.ok(!sameNumber(a, b), `${a} ${b}`);
  }
});
