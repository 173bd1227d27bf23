/** Chat templates: where they are found, the texts that they render, the messages that they refuse. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { ChatMessage, Conversation } from "../../../client/data/types.js";
import { chatTemplateOf, loadChatTemplate } from "../../../client/models/chat.js";

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

const conversation = [
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
  return renderChat({ messages: conversation }, { addGenerationPrompt }).text;
}

const rendered = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello {{ 7 * 7 }}<|im_end|>\n";

test("a template of tokenizer_config.json renders turns, and content is never a template", async () => {
  await config({ bos_token: "<s>", chat_template: TEMPLATE });
  assert.equal(await render(), rendered);
  assert.equal(await render(true), `${rendered}<|im_start|>assistant\n`);
});

test("special tokens may be objects", async () => {
  await config({ bos_token: { content: "<s>", lstrip: false }, chat_template: TEMPLATE });
  assert.equal(await render(), rendered);
});

const NAMED = { default: "plain {{ bos_token }}", tool_use: "tools {{ tools | length }}", rag: "{% nosuch %}" };

async function chosen(): Promise<string[]> {
  const renderChat = await loadChatTemplate(folder);
  assert.ok(renderChat);
  const options = { addGenerationPrompt: false };
  return [undefined, { tools: null }, { tools: [] }, { tools: [{ name: "f" }] }].map(
    (variables) => renderChat({ messages: conversation, ...(variables && { variables }) }, options).text,
  );
}

test("of named templates, tool_use is for conversations with tools, and default for the others", async () => {
  const wanted = ["plain <s>", "plain <s>", "tools 0", "tools 1"];
  const chat_template = Object.entries(NAMED).map(([name, template]) => ({ name, template }));
  await config({ bos_token: "<s>", chat_template });
  assert.deepEqual(await chosen(), wanted);
  const { hash } = (await loadChatTemplate(folder))!;
  await config({ bos_token: "<s>", chat_template: NAMED });
  assert.deepEqual(await chosen(), wanted);
  assert.equal((await loadChatTemplate(folder))!.hash, hash);
  // The same in files, which go before tokenizer_config.json.
  await config({ bos_token: "<s>", chat_template: "no" });
  await writeFile(join(folder, "chat_template.jinja"), NAMED.default);
  assert.deepEqual(await chosen(), Array(4).fill("plain <s>"));
  const alone = (await loadChatTemplate(folder))!.hash;
  await mkdir(join(folder, "additional_chat_templates"));
  await writeFile(join(folder, "additional_chat_templates", "rag.jinja"), NAMED.rag);
  assert.equal((await loadChatTemplate(folder))!.hash, alone);
  await writeFile(join(folder, "additional_chat_templates", "tool_use.jinja"), NAMED.tool_use);
  assert.deepEqual(await chosen(), wanted);
  assert.equal((await loadChatTemplate(folder))!.hash, hash);
  assert.notEqual(alone, hash);
});

test("named templates without one for the conversation are refused by their names", async () => {
  const message =
    /tokenizer_config\.json: none of the chat templates is for such a conversation \(rag, tool_use\); name one of them default/;
  await config({
    chat_template: [
      { name: "rag", template: "" },
      { name: "tool_use", template: "t" },
    ],
  });
  const renderChat = (await loadChatTemplate(folder))!;
  const options = { addGenerationPrompt: false };
  assert.throws(() => renderChat({ messages: conversation }, options), { code: "invalid_model", message });
  assert.equal(renderChat({ messages: conversation, variables: { tools: [] } }, options).text, "t");
  for (const chat_template of [3, [{ name: "default" }], ["x"], { default: 1 }]) {
    await config({ chat_template });
    await assert.rejects(loadChatTemplate(folder), {
      code: "invalid_model",
      message: /chat_template holds .*expected a text, or a list of/,
    });
  }
  await config({ chat_template: null });
  assert.equal(await loadChatTemplate(folder), undefined);
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

test("a template that cannot be parsed names its file and line, when messages need it", async () => {
  await config({ chat_template: "a\n{% if %}" });
  const renderChat = (await loadChatTemplate(folder))!;
  for (const _ of ["first", "again"]) {
    assert.throws(() => renderChat({ messages: conversation }, { addGenerationPrompt: false }), {
      code: "invalid_model",
      message: /tokenizer_config\.json: the chat template cannot be read \(line 2: /,
    });
  }
});

test("messages that the template refuses are reported as invalid data", async () => {
  await config({ bos_token: "<s>", chat_template: TEMPLATE });
  const renderChat = await loadChatTemplate(folder);
  assert.throws(() => renderChat!({ messages: [{ role: "robot", content: "" }] }, { addGenerationPrompt: false }), {
    code: "invalid_data",
    message: /refuses the messages: line 4: unknown role robot/,
  });
});

const READS = `{% for m in messages %}{{ m.role }}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% if m.tool_calls %}
{{- m.tool_calls | tojson }}{% elif m.role == 'assistant' %}{{ m.content }}{{ m.reasoning_content }}{% endif %}{% endfor %}
{%- if enable_thinking is defined %}{{ enable_thinking }}{% endif %}`;

const messages = (...turns: object[]): Conversation => ({ messages: turns as ChatMessage[] });

/** Fields that the template did not read. */
function unread({ messages, variables = {} }: Conversation): string[] {
  const renderChat = chatTemplateOf(READS, { eos_token: "</s>" }, "t");
  const rendered = renderChat({ messages, variables }, { addGenerationPrompt: false });
  return [
    ...messages.flatMap((message, at) =>
      Object.keys(message).flatMap((field) => (rendered.readMessage(at, field) ? [] : [`${at}.${field}`])),
    ),
    ...Object.keys(variables).filter((name) => !rendered.readVariable(name)),
  ];
}

test("a render says which fields of each message the template read", () => {
  const user = { role: "user", content: "a" };
  const call = { role: "assistant", content: "Let me see", tool_calls: [{ function: { name: "f" } }] };
  assert.deepEqual(unread(messages(user)), []);
  assert.deepEqual(unread(messages({ ...user, name: "Bo", weight: 0 })), ["0.name", "0.weight"]);
  assert.deepEqual(unread(messages({ role: "system", content: "kind" }, user)), ["0.content"]);
  assert.deepEqual(unread(messages(user, call)), ["1.content"]);
  assert.deepEqual(unread(messages({ role: "assistant", content: "a", reasoning: "r" })), []);
  assert.deepEqual(unread(messages({ ...user, reasoning: "r" })), ["0.reasoning"]);
});

test("a render says which variables of a row the template read, and none of them takes the place of its own names", () => {
  const user = { role: "user", content: "a" };
  const given = {
    enable_thinking: false,
    tools: [{}],
    weight: 2,
    eos_token: "x",
    range: "y",
    add_generation_prompt: true,
  };
  const [, ...others] = Object.keys(given);
  assert.deepEqual(unread({ ...messages(user), variables: given }), others);
});

test("a list of parts that the template would write in Python's notation is refused", () => {
  const messages = [{ role: "user", content: [{ type: "text", text: "a" }] }];
  const render = (template: string): string =>
    chatTemplateOf(template, {}, "t")({ messages }, { addGenerationPrompt: false }).text;
  const refused = {
    message: /messages\[0\]\.content is a list of parts, and the template writes it as one text; give a text/,
  };
  for (const template of [
    "{{ messages[0].content }}",
    "{{ messages[0].content | trim }}",
    "{{ 'a' + messages[0].content }}",
  ]) {
    assert.throws(() => render(template), refused);
  }
  assert.equal(render("{% for part in messages[0].content %}{{ part.text }}{% endfor %}"), "a");
  assert.equal(render("{{ messages[0].content | tojson }}"), '[{"type": "text", "text": "a"}]');
});

test("an object whose fields lost their order is refused", () => {
  const messages = [{ role: "user", content: "a", extra: { b: 1, "2": 2 } }];
  const renderChat = chatTemplateOf("{{ messages[0] | tojson }}", {}, "t");
  assert.throws(
    () => renderChat({ messages }, { addGenerationPrompt: false }),
    /order of fields is lost .* as 2; name it otherwise/,
  );
});
