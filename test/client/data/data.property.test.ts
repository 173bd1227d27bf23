import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RowEncoder } from "../../../client/data/encode.js";
import { fillSplits } from "../../../client/data/splits.js";
import { KindredError } from "../../../shared/base/errors.js";
import { characterTokenizer, spell } from "./tokenizers.js";

const rows = (n: number, from = 0) => Array.from({ length: n }, (_, index) => from + index);
/** Text without the character that spells a special token. */
const printable = (minLength: number, maxLength: number) =>
  fc.string({ minLength, maxLength }).map((text) => text.replaceAll("\u0001", "x"));
const maybe = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined });

test("splits are a partition of the training rows, each at least one row, in order, the same for the same seed and name", () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 400 }), maybe, maybe, fc.integer(), fc.string(), (n, v, t, seed, name) => {
      const given = {
        train: rows(n),
        validation: v === undefined ? undefined : rows(v, 1000),
        test: t === undefined ? undefined : rows(t, 2000),
      };
      const full = fillSplits(given, seed, name, "x");
      const all = [...full.train, ...full.validation, ...full.test];
      assert.deepEqual(
        [...all].sort((a, b) => a - b),
        [...given.train, ...(given.validation ?? []), ...(given.test ?? [])],
      );
      for (const part of [full.train, full.validation, full.test]) {
        assert(part.length >= 1);
        assert.deepEqual(
          part,
          [...part].sort((a, b) => a - b),
        );
      }
      const share = Math.max(1, Math.round(n / 10));
      assert.equal(full.validation.length, v ?? share);
      assert.equal(full.test.length, t ?? share);
      assert.deepEqual(fillSplits(given, seed, name, "x"), full);
    }),
  );
});

test("another seed or another name draws other rows", () => {
  const draw = (seed: number, name: string) => fillSplits({ train: rows(200) }, seed, name, "x").test;
  assert.notDeepEqual(draw(0, "a"), draw(1, "a"));
  assert.notDeepEqual(draw(0, "a"), draw(0, "b"));
});

test("fewer than three rows with a missing split are refused; complete splits of one row each are accepted", () => {
  for (const given of [
    { train: [1, 2] },
    { train: [1], test: [2] },
    { train: [1], validation: [2] },
    { train: [1], test: rows(9) },
  ]) {
    assert.throws(
      () => fillSplits(given, 0, "anna", "p.jsonl:4"),
      (error) =>
        error instanceof KindredError &&
        error.code === "invalid_data" &&
        /^p\.jsonl:4: client "anna"/.test(error.message),
    );
  }
  assert.deepEqual(fillSplits({ train: [1], validation: [2], test: [3] }, 0, "a", "x").drawn, []);
});

test("a truncated row keeps its special tokens, the prompt's end and the completion, and fills the room exactly", async () => {
  await fc.assert(
    fc.asyncProperty(
      printable(0, 50),
      fc.nat(3),
      printable(1, 30),
      fc.integer({ min: 1, max: 40 }),
      async (prompt, leading, completion, maxTokens) => {
        const encoder = new RowEncoder(characterTokenizer(leading), { maxTokens });
        const encoding = encoder.encode([{ kind: "answer", where: "x:1", prompt, completion }]);
        if (leading + completion.length > maxTokens) {
          await assert.rejects(encoding, /the completion alone is too long/);
          return;
        }
        const room = maxTokens - leading - completion.length;
        const kept = prompt.slice(Math.max(0, prompt.length - room));
        const before = leading + kept.length;
        if (before === 0 && completion.length === 1) {
          await assert.rejects(encoding, /has nothing to score/);
          return;
        }
        const [row] = await encoding;
        assert.equal(spell(row!.tokens), "^".repeat(leading) + kept + completion);
        assert.deepEqual(
          [...row!.scored],
          rows(completion.length, before).filter((at) => at > 0),
        );
      },
    ),
  );
});
