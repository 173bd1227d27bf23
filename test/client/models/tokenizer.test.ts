/** Tokenizers against transformers' ids (test/fixtures/make_tokenizer.py), and damaged files. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TokenizedText } from "../../../client/data/types.js";
import { checkTokenizerFits, loadTokenizer } from "../../../client/models/tokenizer.js";
import { asset } from "../../../shared/base/assets.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { idsOf } from "../data/tokenizers.js";

interface Reference {
  readonly strings: readonly string[];
  readonly models: Readonly<Record<string, { readonly bos: readonly number[][]; readonly plain: readonly number[][] }>>;
}

const fixtures = asset("test", "fixtures");
const reference = JSON.parse(await readFile(join(fixtures, "tokenizer", "tokenizer.json"), "utf8")) as Reference;

/** The path of a reference model on this machine. */
function folderOf(name: string): string | undefined {
  const own = join(fixtures, "llama", name);
  if (existsSync(own)) return own;
  const data = process.env.KINDRED_DATA;
  const path = data === undefined ? undefined : join(data, "models", name);
  return path !== undefined && existsSync(path) ? path : undefined;
}

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-tokenizer-"));
});
after(() => rm(folder, { recursive: true, force: true }));

for (const [name, { bos, plain }] of Object.entries(reference.models)) {
  const path = folderOf(name);
  const skip = path === undefined ? `${name} is not under KINDRED_DATA` : false;
  test(`${name} encodes as transformers does with the same tokenizer.json`, { skip }, async () => {
    const tokenizer = await loadTokenizer(path!);
    for (const [i, text] of reference.strings.entries()) {
      assert.deepEqual(await idsOf(tokenizer, text), bos[i], JSON.stringify(text));
      assert.deepEqual(await idsOf(tokenizer, text, false), plain[i], JSON.stringify(text));
    }
  });
}

const tied = join(fixtures, "llama", "tied");

interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, unknown>>;
    readonly merges: readonly (string | string[])[];
  };
  readonly added_tokens: readonly object[];
  readonly [field: string]: unknown;
}
type Change = (json: TokenizerJson) => object;

/** The tied fixture's tokenizer.json with fields replaced (undefined: left out), in a folder. */
async function changed(change: Change): Promise<string> {
  const json = JSON.parse(await readFile(join(tied, "tokenizer.json"), "utf8")) as TokenizerJson;
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify({ ...json, ...change(json) }));
  return folder;
}

test("text comes back from its ids", async () => {
  const tokenizer = await loadTokenizer(tied);
  for (const text of ["", "Once upon a time, there was a girl.", "two  spaces\n  indented"])
    assert.equal(await tokenizer.decode(await idsOf(tokenizer, text, false)), text);
});

test("leading special tokens are kept, trailing ones are dropped", async () => {
  const special = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const path = await changed(() => ({
    added_tokens: [
      { id: 0, content: "<s>", ...special },
      { id: 1, content: "</s>", ...special },
    ],
    post_processor: {
      type: "Sequence",
      processors: [
        { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
        {
          type: "TemplateProcessing",
          single: [token("BOS"), token("</s>"), { Sequence: { id: "A", type_id: 0 } }, token("</s>")],
          pair: [],
          special_tokens: {
            BOS: { id: "BOS", ids: [0], tokens: ["<s>"] },
            "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] },
          },
        },
      ],
    },
  }));
  const tokenizer = await loadTokenizer(path);
  const plain = await idsOf(tokenizer, "a b", false);
  assert.deepEqual(await idsOf(tokenizer, "a b"), [0, 1, ...plain]);
  assert.deepEqual(await idsOf(tokenizer, ""), [0, 1]);
});

function leadingId(id: number): object {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "BOS", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { BOS: { id: "BOS", ids: [id], tokens: ["BOS"] } },
  };
}

test("offsets count UTF-16 units, of a text with characters of one unit and of two", async () => {
  const tokenizer = await loadTokenizer(tied);
  for (const text of ["one two", "\u{1f600} on \u{1f600}\u{1f601}e d\u00e9"]) {
    const [{ ids, starts, ends }] = (await tokenizer.encode([text], { specials: false })) as [TokenizedText];
    assert.equal(starts[0], 0);
    assert.equal(ends.at(-1), text.length);
    for (const [k, id] of ids.entries()) {
      const piece = text.slice(starts[k], ends[k]);
      // An unknown character is a token of its own.
      if (id === 0) assert.match(piece, /^(\p{Emoji}|\u00e9)$/u);
      else assert.equal(await tokenizer.decode([id]), piece);
    }
  }
});

test("settings of truncation and padding have no effect", async () => {
  const plain = await idsOf(await loadTokenizer(tied), "one two three");
  const path = await changed(() => ({
    truncation: { direction: "Right", max_length: 1, strategy: "LongestFirst", stride: 0 },
    padding: {
      strategy: { Fixed: 1_000_000 },
      direction: "Right",
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: "<s>",
    },
  }));
  assert.deepEqual(await idsOf(await loadTokenizer(path), "one two three"), plain);
});

test("a text on which the library panics is refused, and tokenizers go on", async () => {
  const good = await loadTokenizer(tied);
  const expected = await idsOf(good, "one two");
  const bad = await loadTokenizer(
    await changed(() => ({
      pre_tokenizer: {
        type: "Split",
        pattern: { Regex: "(a+)+$" },
        behavior: "Isolated",
        invert: false,
      },
    })),
  );
  const text = `${"a".repeat(40)}b`;
  const [refused, fine] = await Promise.allSettled([bad.encode([text], { specials: true }), idsOf(good, "one two")]);
  assert.equal(refused.status, "rejected");
  assert.match(String(refused.reason), /tokenizer\.json: cannot encode a text \(.*retry-limit-in-match over\)/);
  assert.deepEqual(fine, { status: "fulfilled", value: expected });
  assert.ok((await idsOf(bad, "x")).length > 0);
});

test("the hash changes with the tokens, not with formatting or truncation settings", async () => {
  const { hash } = await loadTokenizer(tied);
  assert.match(hash, /^[0-9a-f]{64}$/);
  const hashWith = async (change: Change) => (await loadTokenizer(await changed(change))).hash;
  const spelledOtherwise = (merge: string | string[]) =>
    typeof merge === "string" ? merge.split(" ") : merge.join(" ");
  assert.equal(await hashWith(() => ({ truncation: { max_length: 9, stride: 0 } })), hash);
  assert.equal(
    await hashWith(({ model }) => ({ model: { ...model, merges: model.merges.map(spelledOtherwise) } })),
    hash,
  );
  assert.notEqual(await hashWith(({ model }) => ({ model: { ...model, merges: model.merges.slice(1) } })), hash);
  assert.notEqual(await hashWith(() => ({ post_processor: null })), hash);
});

test("a tokenizer with ids beyond the model's vocabulary is refused, naming both files", async () => {
  const model = await openModelFolder(tied);
  const tokenizer = await loadTokenizer(tied);
  checkTokenizerFits(tokenizer, model);
  const small = { ...model, config: { ...model.config, vocab_size: tokenizer.largest.id } };
  assert.throws(() => checkTokenizerFits(tokenizer, small), {
    code: "invalid_model",
    message:
      /tokenizer\.json: the token ".+" has the id (\d+), but .*config\.json has vocab_size \1: the tokenizer belongs to another model/,
  });
  const none = { ...model, config: {} };
  assert.throws(() => checkTokenizerFits(tokenizer, none), {
    code: "invalid_model",
    message: /vocab_size is undefined/,
  });
});

test("an added token beyond the model's vocabulary is in the way only where every text begins with it", async () => {
  const model = await openModelFolder(tied);
  const size = model.config.vocab_size as number;
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  const padded: Change = ({ added_tokens, model }) => {
    const missing = size - Object.keys(model.vocab).length;
    const filler = Array.from({ length: missing }, (_, at) => ({
      id: size - missing + at,
      content: `<${at}>`,
      ...flags,
    }));
    return { added_tokens: [...added_tokens, ...filler, { id: size, content: "[PAD]", ...flags }] };
  };
  checkTokenizerFits(await loadTokenizer(await changed(padded)), model);
  const leading = await changed((json) => ({ ...padded(json), post_processor: leadingId(size) }));
  const tokenizer = await loadTokenizer(leading);
  assert.throws(() => checkTokenizerFits(tokenizer, model), {
    code: "invalid_model",
    message: new RegExp(`the token "\\[PAD\\]" has the id ${size}, but .*config\\.json has vocab_size ${size}: `),
  });
});

const withVocabulary =
  (vocab: unknown): Change =>
  ({ model }) => ({ model: { ...model, vocab } });
const bad: readonly [name: string, change: Change, message: RegExp][] = [
  ["an id that is a text", withVocabulary({ x: "1" }), /token "x" has the id "1"/],
  ["an id of a billion", withVocabulary({ x: 1e9 }), /token "x" has the id 1000000000/],
  ["no vocabulary", withVocabulary(undefined), /model\.vocab is missing/],
  ["no tokens", (json) => ({ ...withVocabulary({})(json), added_tokens: [] }), /has no tokens/],
  ["an added token that is a number", () => ({ added_tokens: [1] }), /added_tokens holds an entry without content/],
  ["no added tokens", () => ({ added_tokens: undefined }), /added_tokens is not a list/],
  [
    "an unknown pre-tokenizer",
    () => ({ pre_tokenizer: { type: "Bad" } }),
    /json: pre_tokenizer\.type "Bad" is not known; known are BertPreTokenizer, /,
  ],
  [
    "a part that is missing",
    () => ({ post_processor: { type: "Sequence" } }),
    /json: post_processor lacks the field processors, which Sequence has/,
  ],
  ["dropout", ({ model }) => ({ model: { ...model, dropout: 0.1 } }), /model.dropout is 0.1, which makes ids random/],
  ["a special token of a large id", () => ({ post_processor: leadingId(2e7) }), /has the id 20000000; ids are 0 to/],
  // The library panics on these, and ends its process.
  [
    "merges of a prefix that tokens lack",
    ({ model }) => ({ model: { ...model, continuing_subword_prefix: "a long prefix" } }),
    /json: cannot be used \(range end index .* out of range/,
  ],
  [
    "a damaged character map",
    () => ({ normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" } }),
    /json: cannot be used \(Precompiled: .*Cannot parse precompiled_charsmap/,
  ],
];

for (const [name, change, message] of bad) {
  test(`a tokenizer with ${name} is refused`, async () => {
    await assert.rejects(loadTokenizer(await changed(change)), {
      name: "KindredError",
      code: "invalid_model",
      message,
    });
  });
}

test("a folder without tokenizer.json says what else is there and how to convert it", async () => {
  await rm(join(folder, "tokenizer.json"), { force: true });
  await assert.rejects(loadTokenizer(folder), { code: "invalid_model", message: /tokenizer\.json: no such file/ });
  await writeFile(join(folder, "tokenizer.model"), "");
  await assert.rejects(loadTokenizer(folder), /tokenizer\.model can be converted: python -c/);
});
