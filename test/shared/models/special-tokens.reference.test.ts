/** Special tokens that chat templates may write, against transformers (test/fixtures/make_special_tokens.py). */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { loadChatTemplate } from "../../../client/models/chat.js";
import { asset } from "../../../shared/base/assets.js";
import { readTokenizerConfig } from "../../../shared/models/special-tokens.js";

interface Case {
  readonly config: object;
  readonly map: object | null;
  readonly tokens: Readonly<Record<string, string>>;
}

const file = asset("test", "fixtures", "special-tokens", "special-tokens.json");
const cases = JSON.parse(await readFile(file, "utf8")) as readonly Case[];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-special-tokens-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, fields: object) => writeFile(join(folder, name), JSON.stringify(fields));

for (const { config, map, tokens } of cases) {
  test(`the special tokens of ${JSON.stringify(config)} and ${JSON.stringify(map)} are transformers'`, async () => {
    await write("tokenizer_config.json", config);
    if (map !== null) await write("special_tokens_map.json", map);
    assert.deepEqual((await readTokenizerConfig(folder)).specialTokens, tokens);
  });
}

test("a chat template writes the tokens that special_tokens_map.json alone names", async () => {
  await write("tokenizer_config.json", { chat_template: "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" });
  await write("special_tokens_map.json", { bos_token: "<s>", eos_token: { content: "</s>" } });
  const renderChat = await loadChatTemplate(folder);
  assert.equal(
    renderChat?.({ messages: [{ role: "user", content: "a" }] }, { addGenerationPrompt: false }).text,
    "<s>a</s>",
  );
});

test("a special token that is no text is refused, naming file, field and value", async () => {
  await write("special_tokens_map.json", { eos_token: 2 });
  await assert.rejects(readTokenizerConfig(folder), {
    code: "invalid_model",
    message: /special_tokens_map\.json: eos_token is 2; expected a text, or an object with content$/,
  });
  await write("special_tokens_map.json", { extra_special_tokens: { pad_token: [] } });
  await assert.rejects(readTokenizerConfig(folder), /extra_special_tokens\.pad_token is \[\]/);
});
