/**
 * Small tokenizers of every kind against Python's tokenizers: ids, offsets and decoded texts (test/fixtures/make_tokenizer_kinds.py);
 * and what tokenizer.json may not say.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { loadTokenizer, type ModelTokenizer, tokenizerOf } from "../../../client/models/tokenizer.js";
import { asset } from "../../../shared/base/assets.js";

type Json = Readonly<Record<string, unknown>>;

interface Encodings {
  /** Ids of the special tokens before a text. */
  readonly leading: readonly number[];
  /** Per text. */
  readonly ids: readonly (readonly number[])[];
  /** Per text, of each token: the distance of its start from the end of the token before, and its length, in UTF-16 units. */
  readonly offsets: readonly (readonly number[])[];
  readonly decoded: readonly string[];
}

interface Kind extends Encodings {
  readonly model: string;
  /** Fields of the model that are replaced, and those that are left out. */
  readonly change: Json;
  readonly drop: readonly string[];
  readonly fields: Json;
}

interface Reference {
  readonly texts: readonly string[];
  readonly models: Readonly<Record<string, Json>>;
  readonly tokenizers: Readonly<Record<string, Kind>>;
  readonly real: Readonly<Record<string, Encodings>>;
}

const path = join(asset("test", "fixtures"), "tokenizer-kinds", "tokenizer-kinds.json.gz");
const reference = JSON.parse(gunzipSync(await readFile(path)).toString("utf8")) as Reference;
const { texts } = reference;

function jsonOf({ model, change, drop, fields }: Kind): Json {
  const all = Object.entries({ ...reference.models[model], ...change });
  return { version: "1.0", ...fields, model: Object.fromEntries(all.filter(([name]) => !drop.includes(name))) };
}

/** Offsets as the fixture has them. */
function flat(starts: Int32Array, ends: Int32Array): number[] {
  return Array.from(starts).flatMap((start, k) => [start - (k === 0 ? 0 : (ends[k - 1] as number)), ends[k]! - start]);
}

test("there are at least 40 tokenizers and 60 texts", () => {
  assert.ok(Object.keys(reference.tokenizers).length >= 40);
  assert.ok(new Set(texts).size >= 60);
});

async function check(tokenizer: ModelTokenizer, expected: Encodings): Promise<void> {
  assert.deepEqual(tokenizer.leading, expected.leading);
  const encoded = await tokenizer.encode(texts, { specials: false });
  for (const [i, { ids, starts, ends }] of encoded.entries()) {
    const text = JSON.stringify(texts[i]);
    assert.deepEqual(Array.from(ids), expected.ids[i], text);
    assert.deepEqual(flat(starts, ends), expected.offsets[i], text);
    assert.equal(await tokenizer.decode(ids), expected.decoded[i], text);
  }
  const [whole] = await tokenizer.encode([texts[9]!], { specials: true });
  assert.deepEqual(Array.from(whole!.ids), [...expected.leading, ...expected.ids[9]!]);
}

for (const [name, kind] of Object.entries(reference.tokenizers)) {
  test(`${name}: ids, offsets and decoded texts equal Python's`, async () => {
    await check(await tokenizerOf(jsonOf(kind), "tokenizer.json"), kind);
  });
}

for (const [name, expected] of Object.entries(reference.real)) {
  const data = process.env.KINDRED_DATA;
  const skip = data === undefined ? `${name} is under KINDRED_DATA` : false;
  test(`${name}: ids, offsets and decoded texts equal Python's`, { skip }, async () => {
    await check(await loadTokenizer(join(data!, "models", name)), expected);
  });
}

const wordpiece = reference.tokenizers.wordpiece as Kind;
const replace = { type: "Replace", pattern: { String: "a" }, content: "b" };
const template = (single: readonly object[], more: object = {}) => ({
  post_processor: { type: "TemplateProcessing", single, pair: [], special_tokens: {}, ...more },
});
const text = { Sequence: { id: "A", type_id: 0 } };

const refused: readonly [name: string, change: Json, message: RegExp][] = [
  [
    "an unknown field of the file",
    { postprocessor: {} },
    /the file has the field "postprocessor" \(\{\}\), which tokenizer\.json does not have/,
  ],
  [
    "an unknown type",
    { normalizer: { type: "NFKD_CF" } },
    /normalizer\.type "NFKD_CF" is not known; known are NFC, NFD, /,
  ],
  // The library takes it for Strip.
  [
    "an unknown type with a known one's fields",
    { normalizer: { type: "Trim", strip_left: true, strip_right: true } },
    /normalizer\.type "Trim" is not known/,
  ],
  ["a part without a type", { normalizer: { prepend: "a" } }, /normalizer\.type undefined is not known/],
  [
    "an unknown field of a known type",
    { normalizer: { type: "Lowercase", locale: "tr" } },
    /normalizer has the field "locale" \("tr"\), which Lowercase does not have; it would have no effect: remove it/,
  ],
  [
    "an unknown field within a sequence",
    { normalizer: { type: "Sequence", normalizers: [replace, { ...replace, count: 1 }] } },
    /normalizer\.normalizers\[1\] has the field "count" \(1\), which Replace does not have/,
  ],
  [
    "an unknown field of a pre-tokenizer",
    { pre_tokenizer: { type: "Digits", individual_digits: true, invert: true } },
    /pre_tokenizer has the field "invert"/,
  ],
  [
    "an unknown field of a decoder",
    { decoder: { type: "WordPiece", prefix: "##", cleanup: true, suffix: "" } },
    /decoder has the field "suffix"/,
  ],
  // The library takes it for BertProcessing, and trims no offsets.
  [
    "RobertaProcessing without a field",
    { post_processor: { type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 1], trim_offsets: true } },
    /post_processor lacks the field add_prefix_space, which RobertaProcessing has/,
  ],
  // The library takes it for RobertaProcessing.
  [
    "BertProcessing with more fields",
    {
      post_processor: {
        type: "BertProcessing",
        sep: ["</s>", 2],
        cls: ["<s>", 1],
        trim_offsets: true,
        add_prefix_space: true,
      },
    },
    /post_processor has the field "trim_offsets"/,
  ],
  [
    "a template with the text twice",
    template([text, text]),
    /post_processor\.single has the texts \["A","A"\]; expected the text A, once/,
  ],
  ["a template without the text", template([]), /post_processor\.single has the texts \[\]/],
  [
    "an unknown field of a template's piece",
    template([{ Sequence: { id: "A", type_id: 0, strip: true } }]),
    /post_processor\.single\[0\]\.Sequence has the field "strip"/,
  ],
  [
    "an unknown field of a template's token",
    template([text], { special_tokens: { a: { id: "a", ids: [1], tokens: ["a"], type: 1 } } }),
    /post_processor\.special_tokens\."a" has the field "type"/,
  ],
  [
    "an unknown field of an added token",
    { added_tokens: [{ ...(wordpiece.fields.added_tokens as object[])[0], whole_word: true }] },
    /added_tokens\[0\] has the field "whole_word" \(true\)/,
  ],
  [
    "an unknown field of the model",
    { model: { ...reference.models.wordpiece, lowercase: true } },
    /model has the field "lowercase" \(true\), which WordPiece does not have/,
  ],
  [
    "an unknown model",
    { model: { ...reference.models.wordpiece, type: "SubWord" } },
    /model\.type "SubWord" is not known; known are BPE, WordPiece, WordLevel, Unigram/,
  ],
];
for (const [name, change, message] of refused) {
  test(`${name} is refused`, async () => {
    await assert.rejects(tokenizerOf({ ...jsonOf(wordpiece), ...change }, "tokenizer.json"), {
      code: "invalid_model",
      message,
    });
  });
}

test("two added tokens that the normalizer makes one are refused, for the library takes either by chance", async () => {
  const added = (normalized: boolean): readonly object[] => {
    const flags = { single_word: false, lstrip: false, rstrip: false, special: false };
    const token = (content: string, id: number) => ({ id, content, ...flags });
    return [
      { ...token("Cat", 168), normalized },
      { ...token("cat", 169), normalized: true },
    ];
  };
  const open = (normalized: boolean): Promise<ModelTokenizer> =>
    tokenizerOf({ ...jsonOf(wordpiece), normalizer: { type: "Lowercase" }, added_tokens: added(normalized) }, "t.json");
  await assert.rejects(open(true), {
    code: "invalid_model",
    message:
      /^t\.json: added_tokens "Cat" and "cat" are the same after the normalizer, .*; set normalized to false for one of them$/,
  });
  const [encoded] = await (await open(false)).encode(["Cat"], { specials: false });
  assert.deepEqual(Array.from(encoded!.ids), [168]);
});
