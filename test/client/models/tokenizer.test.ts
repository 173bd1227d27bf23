/** Tokenizers against transformers' ids (test/fixtures/make_tokenizer.py), and damaged files. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { checkTokenizerFits, loadTokenizer } from "../../../client/models/tokenizer.js";
import { asset } from "../../../shared/base/assets.js";
import { openModelFolder } from "../../../shared/models/files.js";

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
      assert.deepEqual([...tokenizer.encode(text, { specials: true })], bos[i], JSON.stringify(text));
      assert.deepEqual([...tokenizer.encode(text, { specials: false })], plain[i], JSON.stringify(text));
    }
  });
}

const tied = join(fixtures, "llama", "tied");

interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, unknown>>;
    readonly merges: readonly (string | string[])[];
  };
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
    assert.equal(tokenizer.decode(tokenizer.encode(text, { specials: false })), text);
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
  const plain = [...tokenizer.encode("a b", { specials: false })];
  assert.deepEqual([...tokenizer.encode("a b", { specials: true })], [0, 1, ...plain]);
  assert.deepEqual([...tokenizer.encode("", { specials: true })], [0, 1]);
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
  const small = { ...model, config: { ...model.config, vocab_size: tokenizer.vocabularySize - 1 } };
  assert.throws(() => checkTokenizerFits(tokenizer, small), {
    code: "invalid_model",
    message:
      /tokenizer\.json: its largest id is (\d+), but .*config\.json has vocab_size \1: the tokenizer belongs to another model/,
  });
  const none = { ...model, config: {} };
  assert.throws(() => checkTokenizerFits(tokenizer, none), {
    code: "invalid_model",
    message: /vocab_size is undefined/,
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
  ["an unknown pre-tokenizer", () => ({ pre_tokenizer: { type: "Bad" } }), /json: cannot be used \(.*Bad/],
  ["a part that is missing", () => ({ decoder: undefined }), /cannot be used \(.*decoder/],
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
