import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseTemplate } from "../../../shared/config/format.js";
import { nearest } from "../../../shared/config/suggest.js";

const known = ["learningRate", "localSteps", "epochs", "batch", "seed"];

test("one slip in a word of six letters or more still finds it", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...known.slice(0, 3)),
      fc.nat(),
      fc.constantFrom("drop", "swap", "change"),
      (word, at, slip) => {
        const i = at % (word.length - 1);
        const slipped = {
          drop: word.slice(0, i) + word.slice(i + 1),
          swap: `${word.slice(0, i)}${word[i + 1]}${word[i]}${word.slice(i + 2)}`,
          change: `${word.slice(0, i)}z${word.slice(i + 1)}`,
        }[slip];
        assert.equal(nearest(slipped, known), word);
      },
    ),
  );
});

test("other spellings of the same word find it, and foreign words find nothing", () => {
  assert.equal(nearest("learning_rate", known), "learningRate");
  assert.equal(nearest("LOCAL-STEPS", known), "localSteps");
  assert.equal(nearest("population", known), undefined);
  assert.equal(nearest("x".repeat(10_000), known), undefined);
});

test("a template taken apart and joined is the text that was escaped into it", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), fc.constantFrom("text", "a b", "label"))), (pairs) => {
      const template = pairs.map(([text, field]) => `${text.replace(/[{}]/g, "$&$&")} {${field}}`).join("");
      const parts = parseTemplate(template);
      const fields = parts.flatMap((part) => ("field" in part ? [part.field] : []));
      const texts = parts.map((part) => ("text" in part ? part.text : "\u0000")).join("");
      assert.deepEqual(
        fields,
        pairs.map(([, field]) => field),
      );
      assert.equal(texts, pairs.map(([text]) => `${text} \u0000`).join(""));
    }),
  );
});
