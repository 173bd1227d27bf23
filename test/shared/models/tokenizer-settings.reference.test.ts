/** Tokens that the files beside tokenizer.json add, against transformers (test/fixtures/make_added_tokens.py); and what is refused. */
import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { loadTokenizer } from "../../../client/models/tokenizer.js";
import { asset } from "../../../shared/base/assets.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { modelTokenizerHash } from "../../../shared/models/tokenizer-json.js";

interface Case {
  readonly tokenizer: string;
  readonly config: object;
  readonly map: object | null;
  readonly added: object | null;
  /** Per text. */
  readonly ids: readonly (readonly number[])[];
}

interface Reference {
  readonly texts: readonly string[];
  readonly tokenizers: Readonly<Record<string, object>>;
  readonly cases: readonly Case[];
}

const tied = asset("test", "fixtures", "llama", "tied");
const file = asset("test", "fixtures", "added-tokens", "added-tokens.json");
const { texts, tokenizers, cases } = JSON.parse(await readFile(file, "utf8")) as Reference;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-added-tokens-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, fields: object) => writeFile(join(folder, name), JSON.stringify(fields));

for (const { tokenizer, config, map, added, ids } of cases) {
  const files = [config, map, added].map((fields) => JSON.stringify(fields)).join(", ");
  test(`the ids of the tokenizer ${tokenizer} beside ${files} are transformers'`, async () => {
    await write("tokenizer.json", tokenizers[tokenizer]!);
    await write("tokenizer_config.json", { tokenizer_class: "PreTrainedTokenizerFast", ...config });
    if (map !== null) await write("special_tokens_map.json", map);
    if (added !== null) await write("added_tokens.json", added);
    const encoded = await (await loadTokenizer(folder)).encode(texts, { specials: true });
    for (const [at, text] of texts.entries()) assert.deepEqual(Array.from(encoded[at]!.ids), ids[at], text);
  });
}

const refused: readonly [name: string, file: string, fields: object, message: RegExp, code?: string][] = [
  [
    "split_special_tokens",
    "tokenizer_config.json",
    { split_special_tokens: true },
    /tokenizer_config\.json: split_special_tokens is true, which is not supported: .*; set it to false$/,
    "unsupported",
  ],
  [
    "a flag that is no flag",
    "tokenizer_config.json",
    { split_special_tokens: "yes" },
    /tokenizer_config\.json: split_special_tokens is "yes"; expected true or false$/,
  ],
  [
    "an added token without content",
    "tokenizer_config.json",
    { added_tokens_decoder: { 45: { special: true } } },
    /tokenizer_config\.json: added_tokens_decoder\.45 is \{"special":true\}; expected an object with content$/,
  ],
  [
    "an added token with a flag that is no flag",
    "tokenizer_config.json",
    { added_tokens_decoder: { 45: { content: "<a>", lstrip: 1 } } },
    /added_tokens_decoder\.45\.lstrip is 1; expected true or false$/,
  ],
  [
    "an added token whose id is no number",
    "tokenizer_config.json",
    { added_tokens_decoder: { x: { content: "<a>" } } },
    /added_tokens_decoder\.x is no id; expected digits$/,
  ],
  [
    "added tokens that are a list",
    "tokenizer_config.json",
    { added_tokens_decoder: [] },
    /added_tokens_decoder is \[\]; expected an object$/,
  ],
  [
    "a token of added_tokens.json without id",
    "added_tokens.json",
    { "<a>": "45" },
    /added_tokens\.json: "<a>" is "45"; expected the token's id$/,
  ],
];
for (const [name, file, fields, message, code = "invalid_model"] of refused) {
  test(`${name} is refused, naming file, field and value`, async () => {
    await write("tokenizer.json", tokenizers.plain!);
    await write(file, fields);
    await assert.rejects(loadTokenizer(folder), { name: "KindredError", code, message });
  });
}

test("the hash that is compared at enrolment covers what the other files change", async () => {
  await write("tokenizer.json", tokenizers.plain!);
  for (const name of ["config.json", "model.safetensors"]) await copyFile(join(tied, name), join(folder, name));
  const hash = async (): Promise<string> => {
    const own = await modelTokenizerHash(await openModelFolder(folder));
    assert.equal((await loadTokenizer(folder)).hash, own);
    return own;
  };
  const plain = await hash();
  await write("tokenizer_config.json", { model_max_length: 64 });
  assert.equal(await hash(), plain);
  await write("tokenizer_config.json", { pad_token: "[PAD]" });
  assert.notEqual(await hash(), plain);
});
