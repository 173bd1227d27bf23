/** Tokenizers from a GGUF's metadata: each splitting, and damaged metadata. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ModelTokenizer, tokenizerOf } from "../../../client/models/tokenizer.js";
import type { GgufFile, GgufValue } from "../../../shared/models/gguf.js";
import { ggufTokenizer } from "../../../shared/models/gguf-tokenizer.js";
import { idsOf } from "../data/tokenizers.js";

const TOKENS = ["<s>", "a", "1", "2", "11", "111", "Ġ", "Ġa", "12", "aa", "[x]"];

function fileOf(fields: Readonly<Record<string, GgufValue>> = {}): GgufFile {
  const metadata = new Map<string, GgufValue>(
    Object.entries({
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.tokens": TOKENS,
      "tokenizer.ggml.token_type": Int32Array.from(TOKENS, (_, id) => (id === 0 ? 3 : id === 10 ? 4 : 1)),
      "tokenizer.ggml.merges": ["1 1", "11 1", "Ġ a", "1 2"],
      "tokenizer.ggml.bos_token_id": 0,
      ...fields,
    }),
  );
  return { path: "m.gguf", byteLength: 0, metadata, tensors: new Map() };
}

async function open(fields?: Readonly<Record<string, GgufValue>>): Promise<ModelTokenizer> {
  return tokenizerOf(ggufTokenizer(fileOf(fields)).json, "m.gguf");
}

const tokensOf = async (tokenizer: ModelTokenizer, text: string): Promise<string[]> =>
  (await idsOf(tokenizer, text)).map((id) => TOKENS[id] as string);

const splittings: readonly [pre: string, text: string, tokens: readonly string[]][] = [
  ["gpt-2", "1111 a", ["11", "11", "Ġa"]],
  ["smollm", "1111 a", ["1", "1", "1", "1", "Ġa"]],
  ["qwen2", "1111 a", ["1", "1", "1", "1", "Ġa"]],
  ["llama-bpe", "1112 a", ["<s>", "111", "2", "Ġa"]],
  // "aa" is a token, though no merge makes it.
  ["llama-bpe", "aa", ["<s>", "aa"]],
  ["gpt-2", "aa", ["a", "a"]],
  // A user-defined token is found as one piece.
  ["gpt-2", "a[x]a", ["a", "[x]", "a"]],
];
for (const [pre, text, tokens] of splittings) {
  test(`${pre} splits ${JSON.stringify(text)} into ${tokens.join("|")}`, async () => {
    assert.deepEqual(await tokensOf(await open({ "tokenizer.ggml.pre": pre }), text), tokens);
  });
}

test("the metadata's add_bos_token decides whether texts begin with BOS, before the default of the splitting", async () => {
  assert.deepEqual(await tokensOf(await open({ "tokenizer.ggml.add_bos_token": true }), "a"), ["<s>", "a"]);
  const llama = await open({ "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": false });
  assert.deepEqual(await tokensOf(llama, "a"), ["a"]);
});

test("chat templates are those of the metadata, by their names", () => {
  const templates = (fields: Readonly<Record<string, GgufValue>>) => ggufTokenizer(fileOf(fields)).config.chat_template;
  assert.equal(templates({}), undefined);
  const plain = { "tokenizer.chat_template": "a" };
  assert.deepEqual(templates(plain), [{ name: "default", template: "a" }]);
  assert.deepEqual(
    templates({ ...plain, "tokenizer.chat_templates": ["tool_use"], "tokenizer.chat_template.tool_use": "b" }),
    [
      { name: "default", template: "a" },
      { name: "tool_use", template: "b" },
    ],
  );
  assert.throws(
    () => templates({ "tokenizer.chat_template.rag": 3 }),
    /tokenizer\.chat_template\.rag should be a text/,
  );
});

const refused: readonly [fields: Readonly<Record<string, GgufValue>>, message: RegExp, code?: string][] = [
  [
    { "tokenizer.ggml.model": "bert" },
    /tokenizer.ggml.model "bert" is not supported \(supported: gpt2, llama\)/,
    "unsupported",
  ],
  [
    { "tokenizer.ggml.pre": "unheard" },
    /tokenizer.ggml.pre "unheard" is not supported \(supported: gpt-2/,
    "unsupported",
  ],
  [{ "tokenizer.ggml.pre": "toString" }, /tokenizer.ggml.pre "toString" is not supported/, "unsupported"],
  [{ "tokenizer.ggml.pre": 1 }, /tokenizer.ggml.pre should be a text/],
  [{ "tokenizer.ggml.tokens": Int32Array.of(1) }, /tokenizer.ggml.tokens should be a list of texts/],
  [{ "tokenizer.ggml.token_type": Int32Array.of(1) }, /tokenizer.ggml.token_type should be a list of 11 numbers/],
  [{ "tokenizer.ggml.merges": ["a a a"] }, /tokenizer.ggml.merges holds "a a a"; expected two tokens/],
  [{ "tokenizer.ggml.bos_token_id": 11 }, /tokenizer.ggml.bos_token_id should be the id of a token, 0 to 10/],
  [{ "tokenizer.ggml.add_bos_token": 1 }, /tokenizer.ggml.add_bos_token should be true or false/],
  [{ "tokenizer.ggml.model": "llama" }, /tokenizer.ggml.scores should be a list of 11 numbers/],
];
for (const [fields, message, code = "invalid_model"] of refused) {
  test(`${JSON.stringify(fields)} is refused`, async () => {
    await assert.rejects(open(fields), { name: "KindredError", code, message });
  });
}
