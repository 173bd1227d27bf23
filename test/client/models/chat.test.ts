/** Chat templates: where they are found, the texts that they render, the messages that they refuse. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { loadChatTemplate } from "../../../client/models/chat.js";

/** ChatML, with a refusal; the first turn's newline tests that blocks are trimmed as transformers trims them. */
const TEMPLATE = `{{ bos_token }}
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('unknown role ' ~ message.role) }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
{%- if tools %}unused{% endif %}`;

const messages = [
  { role: "user", content: " Hi " },
  { role: "assistant", content: "Hello {{ 7 * 7 }}" },
];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-chat-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function config(fields: object): Promise<void> {
  return writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(fields));
}

async function render(addGenerationPrompt = false): Promise<string> {
  const renderChat = await loadChatTemplate(folder);
  assert.ok(renderChat);
  return renderChat({ messages }, { addGenerationPrompt }).text;
}

const rendered = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello {{ 7 * 7 }}<|im_end|>\n";

test("a template of tokenizer_config.json renders turns, and content is never a template", async () => {
  await config({ bos_token: "<s>", chat_template: TEMPLATE });
  assert.equal(await render(), rendered);
  assert.equal(await render(true), `${rendered}<|im_start|>assistant\n`);
});

test("special tokens may be objects, and of named templates the default is taken", async () => {
  const chat_template = [
    { name: "tool_use", template: "no" },
    { name: "default", template: TEMPLATE },
  ];
  await config({ bos_token: { content: "<s>", lstrip: false }, chat_template });
  assert.equal(await render(), rendered);
});

test("chat_template.jinja goes before tokenizer_config.json", async () => {
  await config({ bos_token: "<s>", chat_template: "no" });
  await writeFile(join(folder, "chat_template.jinja"), TEMPLATE);
  assert.equal(await render(), rendered);
});

test("a model without a template has none", async () => {
  assert.equal(await loadChatTemplate(folder), undefined);
  await config({ bos_token: "<s>" });
  assert.equal(await loadChatTemplate(folder), undefined);
});

test("a template that cannot be parsed names its file", async () => {
  await config({ chat_template: "{% if %}" });
  await assert.rejects(loadChatTemplate(folder), {
    code: "invalid_model",
    message: /tokenizer_config\.json: the chat template cannot be read/,
  });
});

test("messages that the template refuses are reported as invalid data", async () => {
  await config({ bos_token: "<s>", chat_template: TEMPLATE });
  const renderChat = await loadChatTemplate(folder);
  assert.throws(() => renderChat!({ messages: [{ role: "robot", content: "" }] }, { addGenerationPrompt: false }), {
    code: "invalid_data",
    message: /refuses the messages: line 4: unknown role robot/,
  });
});
