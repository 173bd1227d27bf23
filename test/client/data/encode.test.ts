import assert from "node:assert/strict";
import { test } from "node:test";
import { RowEncoder } from "../../../client/data/encode.js";
import type { ChatMessage, Example, RenderChat } from "../../../client/data/types.js";
import { KindredError } from "../../../shared/base/errors.js";
import { characterTokenizer, spell } from "./tokenizers.js";

const where = "rows.jsonl:7";

async function encode(example: Example, maxTokens = 512, leading = 1, renderChat?: RenderChat) {
  const [row] = await new RowEncoder(characterTokenizer(leading), { maxTokens, renderChat }).encode([example]);
  assert.ok(row);
  return {
    ...row,
    text: spell(row.tokens),
    scores: [...row.scored].map((at) => spell(row.tokens.slice(at, at + 1))).join(""),
  };
}

const answer = (prompt: string, completion: string, choices?: string[]): Example =>
  choices ? { kind: "answer", where, prompt, completion, choices } : { kind: "answer", where, prompt, completion };

const refuses = (run: () => Promise<unknown>, code: string, message: RegExp) =>
  assert.rejects(run, (error: unknown) => {
    assert(error instanceof KindredError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.match(error.message, /^rows\.jsonl:7: [^\n]+$/);
    return true;
  });

test("every token of plain text but the first is scored; the first is a special token where there is one", async () => {
  assert.deepEqual(pick(await encode({ kind: "text", where, text: "abc" })), { text: "^abc", scores: "abc" });
  assert.deepEqual(pick(await encode({ kind: "text", where, text: "abc" }, 512, 0)), { text: "abc", scores: "bc" });
});

test("plain text longer than maxTokens keeps its first tokens", async () => {
  assert.deepEqual(pick(await encode({ kind: "text", where, text: "abcdef" }, 4)), { text: "^abc", scores: "abc" });
});

test("of a prompt and a completion, only the completion is scored; both are encoded verbatim", async () => {
  assert.deepEqual(pick(await encode(answer("Q: ", " a \n"))), { text: "^Q:  a \n", scores: " a \n" });
});

test("a completion's first token is not scored where no token precedes it", async () => {
  assert.deepEqual(pick(await encode(answer("", "ab"), 512, 0)), { text: "ab", scores: "b" });
  assert.deepEqual(pick(await encode(answer("", "ab"), 512, 1)), { text: "^ab", scores: "ab" });
});

test("a long prompt loses tokens on the left, after its leading special tokens", async () => {
  assert.deepEqual(pick(await encode(answer("abcdef", "XY"), 6)), { text: "^defXY", scores: "XY" });
  assert.deepEqual(pick(await encode(answer("abcdef", "XY"), 6, 2)), { text: "^^efXY", scores: "XY" });
  assert.deepEqual(pick(await encode(answer("abcdef", "XY"), 6, 0)), { text: "cdefXY", scores: "XY" });
  assert.deepEqual(pick(await encode(answer("abcdef", "XYZ"), 4)), { text: "^XYZ", scores: "XYZ" });
});

test("a completion that is too long by itself is refused by file and line", async () => {
  await refuses(
    () => encode(answer("a", "XYZW"), 4),
    "invalid_data",
    /completion alone is too long: 1 \+ 4 tokens, more than 4/,
  );
  await refuses(() => encode(answer("a", "X", ["X", "YYYYYY"]), 4), "invalid_data", /choices\[1\] alone is too long/);
});

test("choices are encoded as completions of the same prompt", async () => {
  const { choices } = await encode(answer("Q", " no", [" yes", " no"]));
  assert.deepEqual(choices?.tokens.map(spell), [" yes", " no"]);
  assert.equal(choices?.answer, 1);
  assert.equal(choices?.promptLength, 2);
});

test("in a truncated row, the position where the answer begins does not depend on the right choice", async () => {
  const [no, yes] = await Promise.all(["N", "YES"].map((right) => encode(answer("abcdef", right, ["N", "YES"]), 6)));
  assert.equal(no!.text, "^efN");
  assert.equal(yes!.text, "^efYES");
  for (const { choices } of [no!, yes!]) assert.equal(choices?.promptLength, 3);
});

test("rows with nothing to score are refused by file and line", async () => {
  await refuses(() => encode({ kind: "text", where, text: "" }), "invalid_data", /nothing to score/);
  await refuses(() => encode({ kind: "text", where, text: "a" }, 512, 0), "invalid_data", /nothing to score/);
  await refuses(() => encode(answer("a", "")), "invalid_data", /nothing to score/);
  await refuses(() => encode(answer("", "a"), 512, 0), "invalid_data", /nothing to score/);
});

const renderChat: RenderChat = ({ messages }, { addGenerationPrompt }) => ({
  text: messages.map(({ role, content }) => `<${role[0]}>${content};`).join("") + (addGenerationPrompt ? "<a>" : ""),
  marked: undefined,
});
const chat = (...messages: [string, string][]): Example => ({
  kind: "chat",
  where,
  messages: messages.map(([role, content]): ChatMessage => ({ role, content })),
});

test("of messages, the assistant's turns are scored, as the chat template writes them", async () => {
  const row = await encode(
    chat(["user", "hi"], ["assistant", "yo"], ["user", "bye"], ["assistant", "ok"]),
    512,
    1,
    renderChat,
  );
  assert.deepEqual(pick(row), { text: "<u>hi;<a>yo;<u>bye;<a>ok;", scores: "yo;ok;" });
});

test("turns after the assistant's last turn are left out, and the oldest tokens are removed where there is no room", async () => {
  const row = await encode(
    chat(["user", "hi"], ["assistant", "yo"], ["user", "b"], ["assistant", "ok"], ["user", "?"]),
    12,
    1,
    renderChat,
  );
  assert.deepEqual(pick(row), { text: "o;<u>b;<a>ok;".slice(1), scores: "ok;" });
});

test("messages without a chat template are refused as unsupported", async () => {
  await refuses(() => encode(chat(["user", "hi"], ["assistant", "yo"])), "unsupported", /chat template/);
});

test("a chat template that rewrites earlier turns is refused", async () => {
  const rewriting: RenderChat = ({ messages }) => ({
    text: `${messages.length}${messages.map((message) => message.content).join("")}`,
    marked: undefined,
  });
  await refuses(
    () => encode(chat(["user", "hi"], ["assistant", "yo"]), 512, 1, rewriting),
    "invalid_data",
    /rewrites what stands before this turn/,
  );
});

test("messages that the chat template refuses are reported with their row", async () => {
  const strict: RenderChat = () => {
    throw new Error("roles must alternate");
  };
  const row = chat(["assistant", "yo"]);
  await refuses(() => encode(row, 512, 1, strict), "invalid_data", /roles must alternate/);
});

function pick({ text, scores }: { text: string; scores: string }) {
  return { text, scores };
}
