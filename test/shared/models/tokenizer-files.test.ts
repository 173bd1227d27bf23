/**
 * The tokenizer's files for transformers. transformers 5.23 gave the same ids as tokenizers 0.23 for these files of the 149 tokenizers of
 * test/fixtures/tokenizer-kinds, on all of its texts.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { asset } from "../../../shared/base/assets.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { tokenizerFiles } from "../../../shared/models/tokenizer-files.js";
import { modelTokenizerHash, tokenizerHash } from "../../../shared/models/tokenizer-json.js";
import { temporaryFolder } from "../../support/federation.js";

const JSON_TEXT = `{"version": "1.0", "added_tokens": [{"id": 2, "content": "</s>", "special": true}],
 "model": {"type": "Unigram", "vocab": [["<s>", 0], ["a", -1.50], ["</s>", 0], ["<img>", 0]]}}`;

/** The written files of a folder with these. */
async function written(t: TestContext, files: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const folder = temporaryFolder();
  t.after(folder.remove);
  mkdirSync(join(folder.path, "additional_chat_templates"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
  const found = await tokenizerFiles({
    path: folder.path,
    configPath: "",
    config: {},
    tensors: new Map(),
    files: new Map(),
  });
  return Object.fromEntries([...found].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]));
}

test("a tokenizer.json is written with the tokens that other files add, under a class that takes it literally", async (t) => {
  const config = {
    tokenizer_class: "LlamaTokenizer",
    add_bos_token: true,
    add_eos_token: true,
    add_prefix_space: true,
    legacy: true,
    auto_map: { AutoTokenizer: ["code.py", null] },
    unk_token: "<none>",
    image_token: { content: "<img>", lstrip: true },
    model_max_length: 64,
    padding_side: "left",
  };
  const templates = {
    "chat_template.jinja": "{{ messages }}",
    "additional_chat_templates/rag.jinja": "{{ documents }}",
  };
  const files = await written(t, {
    "tokenizer.json": JSON_TEXT,
    "tokenizer_config.json": JSON.stringify(config),
    ...templates,
    "additional_chat_templates/notes.txt": "no template",
  });
  const { "tokenizer.json": json, "tokenizer_config.json": text, ...others } = files;
  assert.deepEqual(others, templates);
  const { added_tokens: added, ...rest } = JSON.parse(json as string);
  assert.deepEqual(added.map(({ id, content }: { id: number; content: string }) => [id, content]).sort(), [
    [0, "<s>"],
    [2, "</s>"],
    [3, "<img>"],
    [4, "<none>"],
  ]);
  assert.deepEqual({ ...rest, added_tokens: JSON.parse(JSON_TEXT).added_tokens }, JSON.parse(JSON_TEXT));
  // bos and eos are the class's own.
  assert.deepEqual(JSON.parse(text as string), {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: 64,
    padding_side: "left",
    unk_token: "<none>",
    bos_token: "<s>",
    eos_token: "</s>",
    image_token: "<img>",
  });
});

test("a tokenizer without a configuration gets one", async (t) => {
  const files = await written(t, { "tokenizer.json": JSON_TEXT });
  assert.deepEqual(JSON.parse(files["tokenizer_config.json"] as string), {
    tokenizer_class: "PreTrainedTokenizerFast",
  });
});

test("a GGUF's tokenizer becomes files of the same tokenizer", async () => {
  const model = await openModelFolder(asset("test", "fixtures", "gguf", "tiny.gguf"));
  const files = await tokenizerFiles(model);
  const json = JSON.parse(Buffer.from(files.get("tokenizer.json") as Uint8Array).toString());
  assert.equal(tokenizerHash(json), await modelTokenizerHash(model));
  assert.ok(files.has("tokenizer_config.json"));
});

test("a folder without a tokenizer is refused", async (t) => {
  await assert.rejects(written(t, {}), { code: "invalid_model", message: /tokenizer\.json: no such file/ });
});
