/** A conversation's text and what is scored in it, with templates that write the assistant's turns in different ways. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderChatPrompt, renderConversation } from "../../../client/data/conversation.js";
import type { Conversation } from "../../../client/data/types.js";
import { chatTemplateOf } from "../../../client/models/chat.js";
import { KindredError } from "../../../shared/base/errors.js";

const where = "rows.jsonl:7";

const CHATML = `{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`;

/** Without a generation prompt, as Llama 2 and Mistral: the turn begins where the instruction ends. */
const INSTRUCTION = `{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}
{%- else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}`;

/** As Qwen3: only the last turn keeps its reasoning, and has an empty one where it has none. */
const LAST_REASONS = `{% for m in messages %}{{ '<|' + m.role + '|>' }}
{%- if m.role == 'assistant' and loop.last %}{{ '<think>' + (m.reasoning_content or '') + '</think>' }}{% endif %}
{{- m.content.split('</think>')[-1] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`;

/** As DeepSeek-R1's distilled models: the generation prompt opens a reasoning that the template cuts off turns. */
const PROMPT_REASONS = `{% for m in messages %}{% if m.role == 'user' %}{{ 'U: ' + m.content }}
{%- else %}{{ 'A: ' + m.content.split('</think>')[-1] + '</s>' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ 'A: <think>\n' }}{% endif %}`;

const conversation = (...turns: [string, string][]): Conversation => ({
  messages: turns.map(([role, content]) => ({ role, content })),
});

const twice = conversation(["user", "a"], ["assistant", "b"], ["user", "c"], ["assistant", "d"]);

function split(template: string, chat: Conversation) {
  const renderChat = chatTemplateOf(template, { bos_token: "<s>", eos_token: "</s>" }, "tokenizer_config.json");
  const { text, scored } = renderConversation(chat, renderChat, where);
  return { text, scored: scored.map(({ start, end }) => text.slice(start, end)) };
}

function refuses(template: string, chat: Conversation, message: RegExp): void {
  assert.throws(
    () => split(template, chat),
    (error: unknown) => {
      assert(error instanceof KindredError);
      assert.equal(error.code, "invalid_data");
      assert.match(error.message, message);
      assert.match(error.message, /^rows\.jsonl:7: [^\n]+$/);
      return true;
    },
  );
}

test("what the template writes after its generation prompt is scored, with the end of the turn", () => {
  assert.deepEqual(split(CHATML, twice), {
    text: "<|user|>a<|end|>\n<|assistant|>b<|end|>\n<|user|>c<|end|>\n<|assistant|>d<|end|>\n",
    scored: ["b<|end|>\n", "d<|end|>\n"],
  });
  assert.deepEqual(split(INSTRUCTION, twice), {
    text: "<s>[INST] a [/INST] b </s>[INST] c [/INST] d </s>",
    scored: [" b </s>", " d </s>"],
  });
});

test("turns after the assistant's last one are left out", () => {
  const open = conversation(["user", "a"], ["assistant", "b"], ["user", "c"]);
  assert.deepEqual(split(CHATML, open), {
    text: "<|user|>a<|end|>\n<|assistant|>b<|end|>\n",
    scored: ["b<|end|>\n"],
  });
});

test("a conversation may begin with the assistant, or have two of its turns in a row", () => {
  assert.deepEqual(split(CHATML, conversation(["assistant", "a"], ["assistant", "b"])), {
    text: "<|assistant|>a<|end|>\n<|assistant|>b<|end|>\n",
    scored: ["a<|end|>\n", "b<|end|>\n"],
  });
});

test("a turn that is written otherwise where others follow is scored as the whole text has it", () => {
  const reasoned = conversation(
    ["user", "a"],
    ["assistant", "hm</think>b"],
    ["user", "c"],
    ["assistant", "hm</think>d"],
  );
  assert.deepEqual(split(LAST_REASONS, reasoned), {
    text: "<|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|assistant|><think></think>d<|end|>",
    scored: ["b<|end|>", "<think></think>d<|end|>"],
  });
});

test("the end of a turn is not looked for in its own content", () => {
  const tricky = conversation(["user", "a"], ["assistant", "b<|end|>b"], ["user", "b<|end|>"], ["assistant", "d"]);
  assert.deepEqual(split(LAST_REASONS, tricky).scored, ["b<|end|>b<|end|>", "<think></think>d<|end|>"]);
});

test("a turn whose end cannot be told is refused", () => {
  const counted = "{% for m in messages %}{{ m.role[0] + m.content + (messages | length | string) }}{% endfor %}";
  refuses(counted, twice, /messages\[1\]: the chat template (rewrites|writes)/);
});

test("a generation prompt that does not begin the turn is refused, with both texts and what is changed", () => {
  refuses(
    PROMPT_REASONS,
    conversation(["user", "The cat was"], ["assistant", "<think>hm</think>happy"]),
    /messages\[1\]: .* ends its generation prompt with "A: <think>\\n", but begins this turn with "A: happy<\/s>", and changes the turn's content "<think>hm<\/think>happy"/,
  );
});

test("a template that marks the assistant's turns itself says what is scored", () => {
  const marking = `{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}.{% endgeneration %}
{%- else %}U:{{ m.content }}{% endif %};{% endfor %}`;
  assert.deepEqual(split(marking, twice), { text: "U:a;A:b.;U:c;A:d.;", scored: ["b.", "d."] });
  refuses(
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if false %}{% generation %}{% endgeneration %}{% endif %}",
    twice,
    /nothing to score: its chat template marks no text as generated/,
  );
});

test("a template that writes nothing of the assistant has nothing to score", () => {
  refuses(
    "{% for m in messages %}{{ m.content if m.role == 'user' }}{{ m.content[:0] }}{% endfor %}",
    twice,
    /nothing to score/,
  );
});

test("a field that the template does not use is refused, in rows to be scored and in questions", () => {
  const [user, ...others] = twice.messages;
  const named: Conversation = { messages: [{ ...user!, name: "Bo" }, ...others] };
  const unused =
    /: messages\[0\]\.name is not used by the model's chat template, so that it would be lost; to leave it out, name it in ignore \(--ignore messages\.name\)$/;
  refuses(CHATML, named, unused);
  refuses(
    CHATML,
    { ...twice, variables: { tools: [{}] } },
    /^rows\.jsonl:7: tools is not used by the model's chat template/,
  );
  refuses(CHATML, { ...twice, variables: { weight: 0 } }, /^rows\.jsonl:7: weight is not used/);
  const renderChat = chatTemplateOf(CHATML, {}, "tokenizer_config.json");
  assert.throws(() => renderChatPrompt(named, renderChat, where), { message: unused });
  const systemLost = conversation(["system", "be kind"], ["user", "a"], ["assistant", "b"]);
  refuses(
    "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}",
    systemLost,
    /messages\[0\] \("system"\) is not used by the model's chat template, so that it would be lost; remove the message$/,
  );
});

test("fields without a value may pass, and those that only say which row, message or call it is", () => {
  const messages = [
    { role: "user", content: "a", name: "", tool_calls: [], id: 4 },
    { role: "tool", content: "4", name: "f", tool_call_id: "x" },
    { role: "assistant", content: "b", weight: null },
  ];
  const chat: Conversation = {
    messages,
    variables: { tools: null, id: 3, prompt_id: "p", source: "s", documents: [] },
  };
  assert.deepEqual(split(CHATML, chat).scored, ["b<|end|>\n"]);
});

test("the prompt of a question ends where the assistant's turn begins", () => {
  const renderChat = chatTemplateOf(CHATML, {}, "tokenizer_config.json");
  assert.equal(renderChatPrompt(conversation(["user", "a"]), renderChat, where), "<|user|>a<|end|>\n<|assistant|>");
});
