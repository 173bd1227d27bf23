/** Templates write what transformers' Jinja writes, or are refused where it raises an error. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { TemplateError } from "../../../client/jinja/errors.js";
import { dictOf } from "../../../client/jinja/json.js";
import { type Rendered, Template } from "../../../client/jinja/template.js";
import { chatTemplateOf } from "../../../client/models/chat.js";
import { asset } from "../../../shared/base/assets.js";

const read = (name: string): string => readFileSync(asset(`test/fixtures/chat/${name}`), "utf8");

/** The clock of the fixtures. */
const NOW = new Date(2024, 6, 6, 9, 5, 3);

function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof TemplateError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return null;
  }
}

test("the template language has transformers' results, construct by construct", () => {
  const { variables, cases } = JSON.parse(read("language.json")) as {
    variables: object;
    cases: [string, string | null][];
  };
  assert.ok(cases.length > 200);
  for (const [source, wanted] of cases) {
    const made = attempt(() => new Template(source).render(dictOf(Object.entries(variables)), NOW).text);
    assert.equal(made, wanted, JSON.stringify({ source, made, wanted }));
  }
});

interface Fixture {
  readonly special: Record<string, string>;
  readonly conversations: Record<string, { readonly messages: readonly Record<string, unknown>[] }>;
  /** For each conversation, without and with the generation prompt. */
  readonly templates: Record<string, Record<string, [string | null, string | null]>>;
}

const fixture = JSON.parse(read("templates.json")) as Fixture;

/** The text and the marked parts, as the fixture has them. */
function hashOf({ text, marked }: Rendered): string {
  const parts = [text, ...marked.map(({ start, end }) => text.slice(start, end))];
  return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
}

/** Messages with their reasoning under each of its names, as client/models/chat.ts gives them to a template. */
function aliased(messages: Fixture["conversations"][string]["messages"]): object[] {
  return messages.map((message) => {
    const reasoning = message.reasoning_content ?? message.thinking;
    return reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
  });
}

for (const [name, wanted] of Object.entries(fixture.templates)) {
  test(`${name} renders conversations as transformers, and marks the same parts`, () => {
    const template = new Template(read(`templates/${name}.jinja`));
    const made = Object.keys(wanted).map((conversation) => {
      const { messages, ...names } = fixture.conversations[conversation]!;
      const render = (prompt: boolean): string | null => {
        const variables = { ...fixture.special, tools: null, documents: null, ...names, messages: aliased(messages) };
        const dict = dictOf(Object.entries({ ...variables, add_generation_prompt: prompt }));
        return attempt(() => hashOf(template.render(dict, NOW)));
      };
      return [conversation, [render(false), render(true)]];
    });
    assert.deepEqual(Object.fromEntries(made), wanted);
  });
}

test("a model's chat template gets tools, documents and reasoning as transformers gives them", () => {
  const name = "trl-qwen3";
  const renderChat = chatTemplateOf(read(`templates/${name}.jinja`), fixture.special, "chat_template.jinja");
  for (const conversation of ["calls", "reasoning", "documents", "no thinking"]) {
    const { messages, ...variables } = fixture.conversations[conversation]!;
    const chat = { messages: messages as { role: string }[], variables };
    const made = [false, true].map((addGenerationPrompt) => {
      const { text } = renderChat(chat, { addGenerationPrompt });
      return hashOf({ text, marked: [] });
    });
    assert.deepEqual(made, fixture.templates[name]![conversation]);
  }
});
