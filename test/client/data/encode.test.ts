import assert from "node:assert/strict";
import { test } from "node:test";
import { RowEncoder } from "../../../client/data/encode.js";
import type { ChatMessage, Example, RenderChat, Tokenizer } from "../../../client/data/types.js";
import { KindredError } from "../../../shared/base/errors.js";
import { BOS, characterTokenizer, pieceTokenizer, spell } from "./tokenizers.js";

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

const A = "a".charCodeAt(0);
const [B, C, D] = [A + 1, A + 2, A + 3];

async function encodePieces(pieces: readonly string[], example: Example, maxTokens = 512) {
  const [row] = await new RowEncoder(pieceTokenizer(pieces), { maxTokens }).encode([example]);
  return row!;
}

test("a text is encoded whole, and a token that spans the prompt's end is scored", async () => {
  const row = await encodePieces(["bc"], answer("ab", "cd"));
  assert.deepEqual([...row.tokens], [BOS, A, 100_000 + B, D]);
  assert.deepEqual([...row.scored], [2, 3]);
});

test("each choice is scored in the text that it makes with the prompt, whose tokens it may change", async () => {
  const { tokens, scored, choices } = await encodePieces(["bc"], answer("ab", "d", ["c", "d", "da"]));
  assert.deepEqual([...tokens], [BOS, A, B, D]);
  assert.deepEqual([...scored], [3]);
  assert.equal(choices?.promptLength, 2);
  assert.deepEqual(
    choices.tokens.map((choice) => [...choice]),
    [[100_000 + B], [B, D], [B, D, A]],
  );
  assert.deepEqual(
    choices.scored.map((at) => [...at]),
    [[0], [1], [1, 2]],
  );
  assert.equal(choices.answer, 1);
});

test("choices that begin alike are scored from their first token on", async () => {
  const { choices } = await encode(answer("Q", " b", [" a", " b"]));
  assert.equal(choices?.promptLength, 2);
  assert.deepEqual(
    choices.scored.map((at) => [...at]),
    [
      [0, 1],
      [0, 1],
    ],
  );
});

test("in a truncated row, choices that change the prompt's tokens lose the same tokens", async () => {
  const { tokens, scored, choices } = await encodePieces(["bc"], answer("ddab", "d", ["c", "d", "da"]), 5);
  assert.deepEqual([...tokens], [BOS, A, B, D]);
  assert.deepEqual([...scored], [3]);
  assert.deepEqual(
    choices?.tokens.map((choice) => [...choice]),
    [[100_000 + B], [B, D], [B, D, A]],
  );
});

test("choices of the same tokens are refused by file and line", async () => {
  const run = () => encodePieces(["ca", "cb"], answer("a", "ca", ["ca", "d", "cb"]));
  await refuses(run, "invalid_data", /choices\[0\] "ca" and choices\[2\] "cb" are the same tokens to this model/);
  assert.equal((await encodePieces([], answer("a", "ca", ["ca", "d", "cb"]))).tokens[2], C);
});

test("a choice with nothing to score is refused by file and line", async () => {
  await refuses(
    () => encode(answer("", "ab", ["ab", "c"]), 512, 0),
    "invalid_data",
    /choices\[1\] has nothing to score/,
  );
});

test("white space whose offsets are trimmed counts where it stands", async () => {
  const trimming: Tokenizer = {
    leading: [],
    encode: async (texts, options) => {
      const encoded = await characterTokenizer(0).encode(texts, options);
      return encoded.map(({ ids, starts, ends }) => {
        return { ids, starts: starts.map((start, at) => (ids[at] === 32 ? start + 1 : start)), ends };
      });
    },
  };
  const encoder = new RowEncoder(trimming, { maxTokens: 512, renderChat });
  const [spaced] = await encoder.encode([answer("a", " b")]);
  assert.deepEqual([...spaced!.scored], [1, 2]);
  const [turn] = await encoder.encode([chat(["user", "x "], ["assistant", " y"])]);
  assert.equal(spell(turn!.tokens), "<u>x ;<a> y;");
  assert.deepEqual([...turn!.scored], [9, 10, 11]);
});

test("a row with a token that the model lacks is refused by file and line; a row without it is not", async () => {
  const encoder = new RowEncoder(pieceTokenizer(["[PAD]"]), { maxTokens: 512, vocabulary: 256, renderChat });
  const message = (place: RegExp) => ({
    code: "invalid_data",
    message: new RegExp(
      `^${place.source}: the text has the token "\\[PAD\\]" with the id 100091, which the model lacks \\(vocab_size 256\\)`,
    ),
  });
  const padded = answer("a", "[PAD]b");
  assert.equal((await encoder.encode([answer("a", "[P]")])).length, 1);
  await assert.rejects(encoder.encode([answer("a", "b"), padded]), message(/rows\.jsonl:\d+/));
  await assert.rejects(encoder.encode([chat(["user", "[PAD]"], ["assistant", "y"])]), message(/rows\.jsonl:\d+/));
  await assert.rejects(encoder.encodePrompts([{ where: "q.jsonl:2", prompt: "a[PAD]" }], 4), message(/q\.jsonl:2/));
});

test("the end-of-text token is appended and scored: to free answers alone, to every row, and not twice", async () => {
  const END = "$".charCodeAt(0);
  const ended = async (rows: "free answers" | "all", example: Example, maxTokens = 512) => {
    const options = { maxTokens, renderChat, end: { token: END, rows } };
    const [row] = await new RowEncoder(characterTokenizer(), options).encode([example]);
    const { tokens, scored, choices } = row!;
    const scores = [...scored].map((at) => spell(tokens.slice(at, at + 1))).join("");
    return [spell(tokens), scores, ...(choices?.tokens.map(spell) ?? [])];
  };
  const examples: Example[] = [
    answer("Q", "a"),
    answer("Q", ""),
    answer("Q", "a$"),
    answer("Q", "a", ["a", "b"]),
    { kind: "text", where, text: "ab" },
    chat(["user", "h"], ["assistant", "y"]),
  ];
  const all = (rows: "free answers" | "all") => Promise.all(examples.map((example) => ended(rows, example)));
  assert.deepEqual(await all("free answers"), [
    ["^Qa$", "a$"],
    ["^Q$", "$"],
    ["^Qa$", "a$"],
    ["^Qa", "a", "a", "b"],
    ["^ab", "ab"],
    ["<u>h;<a>y;", "y;"],
  ]);
  assert.deepEqual(await all("all"), [
    ["^Qa$", "a$"],
    ["^Q$", "$"],
    ["^Qa$", "a$"],
    ["^Qa$", "a$", "a$", "b$"],
    ["^ab$", "ab$"],
    ["<u>h;<a>y;$", "y;$"],
  ]);
  assert.deepEqual(await ended("all", answer("abcdef", "XY"), 6), ["^efXY$", "XY$"]);
});

test("rows with nothing to score are refused by file and line", async () => {
  await refuses(() => encode({ kind: "text", where, text: "" }), "invalid_data", /nothing to score/);
  await refuses(() => encode({ kind: "text", where, text: "a" }, 512, 0), "invalid_data", /nothing to score/);
  await refuses(() => encode(answer("a", "")), "invalid_data", /nothing to score/);
  await refuses(() => encode(answer("", "a"), 512, 0), "invalid_data", /nothing to score/);
});

const READS_ALL = { marked: undefined, readMessage: () => true, readVariable: () => true };
const renderChat: RenderChat = ({ messages }, { addGenerationPrompt }) => ({
  text: messages.map(({ role, content }) => `<${role[0]}>${content};`).join("") + (addGenerationPrompt ? "<a>" : ""),
  ...READS_ALL,
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

test("a token that spans the beginning or the end of an assistant's turn is scored", async () => {
  const encoder = new RowEncoder(pieceTokenizer([">y", ";<u"]), { maxTokens: 512, renderChat });
  const [row] = await encoder.encode([chat(["user", "hi"], ["assistant", "yo"], ["user", "b"], ["assistant", "ok"])]);
  const pieces = [...row!.tokens].map((id) => String.fromCharCode(id % 100_000));
  assert.equal(pieces.join(""), "<u>hi;<a>o;>b;<a>ok;");
  assert.deepEqual([...row!.scored], [8, 9, 10, 17, 18, 19]);
});

test("a conversation that loses its oldest tokens keeps the special tokens that its template begins with", async () => {
  const withBos: RenderChat = (conversation, options) => {
    const { text } = renderChat(conversation, options);
    return { text: `\u0001${text}`, ...READS_ALL };
  };
  const row = await encode(chat(["user", "hi"], ["assistant", "yo"]), 7, 1, withBos);
  assert.deepEqual(pick(row), { text: "^<a>yo;", scores: "yo;" });
});

test("messages without a chat template are refused as unsupported", async () => {
  await refuses(() => encode(chat(["user", "hi"], ["assistant", "yo"])), "unsupported", /chat template/);
});

test("a chat template that rewrites earlier turns is refused", async () => {
  const rewriting: RenderChat = ({ messages }) => ({
    text: `${messages.length}${messages.map((message) => message.content).join("")}`,
    ...READS_ALL,
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
