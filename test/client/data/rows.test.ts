import assert from "node:assert/strict";
import { test } from "node:test";
import { questionReader, rowReader } from "../../../client/data/rows.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { RowFormat } from "../../../shared/config/format.js";

const where = "rows.jsonl:3";
const read = (row: unknown, format: RowFormat = {}) => rowReader(format)(row, where);
const refuses = (row: unknown, message: RegExp, format: RowFormat = {}) =>
  assert.throws(
    () => read(row, format),
    (error: unknown) => {
      assert(error instanceof KindredError);
      assert.equal(error.code, "invalid_data");
      assert.match(error.message, message);
      assert.match(error.message, /^rows\.jsonl:3: [^\n]+$/);
      return true;
    },
  );

const labels: RowFormat = { template: "Text: {text}\nAnswer:", choices: { 0: " no", 1: " yes" } };

test("each form of a row is read verbatim", () => {
  assert.deepEqual(read(" plain\ttext\n"), { kind: "text", where, text: " plain\ttext\n" });
  assert.deepEqual(read({ prompt: "p", completion: " c", id: 3 }), {
    kind: "answer",
    where,
    prompt: "p",
    completion: " c",
  });
  assert.deepEqual(read({ prompt: "p", completion: "b", choices: ["a", "b"] }), {
    kind: "answer",
    where,
    prompt: "p",
    completion: "b",
    choices: ["a", "b"],
  });
  const messages = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yo" },
  ];
  assert.deepEqual(read({ messages }), { kind: "chat", where, messages });
});

test("instruction, input and output are a prompt of three parts and its answer; without an input, of two", () => {
  const row = { instruction: "Add.", input: "1 and 2", output: "3" };
  const answer = { kind: "answer", where, completion: "3" };
  const prompt = "### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n";
  assert.deepEqual(read(row), { ...answer, prompt });
  for (const input of ["", null, undefined]) {
    const short = "### Instruction:\nAdd.\n\n### Response:\n";
    assert.deepEqual(read({ instruction: "Add.", output: "3", ...(input === undefined ? {} : { input }) }), {
      ...answer,
      prompt: short,
    });
  }
  refuses({ instruction: "Add." }, /has a prompt and no answer to it; add completion \(output of an instruction\)/);
  refuses({ ...row, output: 3 }, /output must be a string, got 3/);
  refuses({ ...row, input: ["1"] }, /input must be a string, got \["1"\]/);
  const question = questionReader()({ instruction: "Add." }, where);
  assert.equal(question.prompt, "### Instruction:\nAdd.\n\n### Response:\n");
  // A template of the user's own is the user's word.
  const own = { template: "{instruction}:", completion: " {output}" };
  assert.equal((read(row, own) as { prompt: string }).prompt, "Add.:");
  // Alpaca's field that repeats the others.
  assert.deepEqual(read({ ...row, text: `${prompt}3` }), { ...answer, prompt });
  refuses(
    { ...row, text: "more" },
    /the field "text" is not read \(value "more"\); rows with instruction have instruction, input, output/,
  );
});

test("a template that names prompt or completion is for rows that have them; any other leaves such rows as they are", () => {
  const row = { prompt: "p", completion: "c", text: "t" };
  const mine = read(row, { template: "Q: {prompt}", completion: " {completion}" });
  assert.deepEqual(mine, { kind: "answer", where, prompt: "Q: p", completion: " c" });
  const format = { template: "Q: {text}", completion: " x" };
  const whole = { prompt: "p", completion: "c" };
  assert.deepEqual(read(whole, format), { kind: "answer", where, ...whole });
  refuses(row, /the field "text" is not read/, format);
});

test("a template fills in fields, and choices maps the label's value to its completion", () => {
  for (const label of [1, "1"]) {
    assert.deepEqual(read({ text: "x {y}", label }, labels), {
      kind: "answer",
      where,
      prompt: "Text: x {y}\nAnswer:",
      completion: " yes",
      choices: [" no", " yes"],
    });
  }
  const bool = read({ text: "x", label: true }, { template: "{text}", choices: { false: "n", true: "y" } });
  assert.equal(bool.kind === "answer" && bool.completion, "y");
});

test("the label may stand in label_text or in a field that the format names", () => {
  const choices = { bad: " -", good: " +" };
  const byText = read({ text: "x", label: 0, label_text: "good" }, { template: "{text}", choices });
  assert.equal(byText.kind === "answer" && byText.completion, " +");
  const named = read({ text: "x", verdict: "bad", label: "good" }, { template: "{text}", choices, label: "verdict" });
  assert.equal(named.kind === "answer" && named.completion, " -");
});

test("a label without choices is refused, whatever the rows are", () => {
  for (const format of [{ label: "kind" }, { template: "{text}", completion: "{answer}", label: "kind" }]) {
    assert.throws(() => read({ prompt: "a", completion: "b" }, format), {
      code: "invalid_config",
      message:
        'label: nothing reads it without choices that its values stand for, got "kind"; add choices, or remove it',
    });
  }
});

test("labels that share a completion make one choice", () => {
  const row = read({ text: "x", label: "c" }, { template: "{text}", choices: { a: "1", b: "2", c: "1" } });
  assert.deepEqual(row.kind === "answer" && row.choices, ["1", "2"]);
});

test("a completion's template makes an answer in free text; without a template for the prompt, the whole text", () => {
  const whole = read({ a: "x", n: 4 }, { completion: "{{{a}}} {n}" });
  assert.deepEqual(whole, { kind: "answer", where, prompt: "", completion: "{x} 4" });
  assert.deepEqual(read({ q: "x", a: "y" }, { template: "{q}", completion: " {a}" }), {
    kind: "answer",
    where,
    prompt: "x",
    completion: " y",
  });
});

test("a template alone is refused, unless it is one field, which is a whole text without an answer beside it", () => {
  assert.throws(
    () => rowReader({ template: "Q: {question}\nA:" }),
    /template: makes a prompt, and nothing says what is scored, got "Q: \{question\}\\nA:" alone; add completion or choices/,
  );
  const format = { template: "{text}" };
  assert.deepEqual(read({ text: "a", label: 1 }, format), { kind: "text", where, text: "a" });
  for (const answer of ["completion", "answer", "output", "response"]) {
    refuses(
      { text: "a", [answer]: "b" },
      new RegExp(`"${answer}" is not read \\(value "b"\\).*add completion "{${answer}}"`),
      format,
    );
    assert.equal(read({ text: "a", [answer]: "" }, format).kind, "text");
    assert.deepEqual(read({ [answer]: "b" }, { template: `{ ${answer} }` }), { kind: "text", where, text: "b" });
  }
  // A question may have its answer beside it, which is not scored.
  assert.equal(questionReader(format)({ text: "a", answer: "b" }, where).prompt, "a");
});

test("rows of any other form are refused by field and value", () => {
  refuses(4, /string or an object, got 4/);
  refuses(["a"], /string or an object/);
  refuses(null, /got null/);
  refuses({ text: "a" }, /fields: "text".*template/);
  refuses({ prompt: "a" }, /has a prompt and no answer to it/);
  refuses({ prompt: 1, completion: "a" }, /prompt must be a string, got 1/);
  refuses({ prompt: "p", completion: "c", choices: "c" }, /choices must be a list/);
  refuses({ prompt: "p", completion: "c", choices: ["a", "b"] }, /completion "c" is not among the choices \["a","b"\]/);
  refuses({ prompt: "p", completion: "c", choices: ["c", "c"] }, /two different/);
  refuses({ prompt: "p", completion: "c", choices: ["c", ""] }, /empty completion/);
  refuses({ prompt: "p\ud800", completion: "c" }, /prompt holds half of a surrogate pair/);
  refuses({ messages: "hi" }, /messages must be a list/);
  refuses(
    { messages: [{ role: "user", content: 3 }] },
    /messages\[0\]\.content must be a string or a list of parts, got 3/,
  );
  refuses({ messages: [{ role: "user", content: "a" }] }, /expected a turn of the role "assistant"/);
  refuses({ txt: "a", label: 1 }, /no field "text", which template names; the row has "txt", "label"/, labels);
  refuses({ text: null, label: 1 }, /text must be a string, got null/, labels);
  refuses({ text: "a", label: 2 }, /label 2 is not in the set of labels that choices gives: \["0","1"\]/, labels);
  refuses({ text: "a", label: "__proto__" }, /is not in the set of labels/, labels);
  refuses({ text: "a" }, /no field "label"/, labels);
  refuses({ label: 1 }, /no field "toString"/, { template: "{toString}", completion: "a" });
});

test("a field that nothing reads is refused by name, unless it says where the row is from or has no value", () => {
  const row = { prompt: "p", completion: "c" };
  for (const field of ["weight", "system", "images", "tools", "label", "answer"]) {
    refuses(
      { ...row, [field]: 1 },
      new RegExp(`the field "${field}" is not read \\(value 1\\).*name it in ignore \\(--ignore ${field}\\);`),
    );
  }
  const provenance = {
    id: 3,
    prompt_id: "x",
    idx: 0,
    uuid: "y",
    source: "s",
    metadata: { a: 1 },
    url: "u",
    category: "c",
    ID: "4",
    conversationId: "5",
    "Unnamed: 0": 0,
  };
  assert.deepEqual(read({ ...row, ...provenance }), { kind: "answer", where, ...row });
  const empty = { weight: null, system: "", images: [], extra: {} };
  assert.deepEqual(read({ ...row, ...empty }), { kind: "answer", where, ...row });
  // What a template does not name is not meant to be read.
  assert.equal(read({ ...row, weight: 1 }, { template: "{prompt}", completion: "{completion}" }).kind, "answer");
});

test("ignored fields are left out before a row is read, in rows of every form and in their messages", () => {
  const row = { prompt: "p", completion: "c" };
  const ignore = ["weight", "choices", "messages.weight", "tools"];
  assert.deepEqual(read({ ...row, weight: 2, choices: 1 }, { ignore }), { kind: "answer", where, ...row });
  refuses({ ...row, weight: 2, score: 1, rank: 2 }, /the field "score" is not read.*--ignore score,rank\)/, { ignore });
  const turns = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yo" },
  ];
  const messages = turns.map((turn) => ({ ...turn, weight: 0 }));
  assert.deepEqual(read({ messages, tools: [{ a: 1 }], weight: 1 }, { ignore }), {
    kind: "chat",
    where,
    messages: turns,
  });
  assert.deepEqual(read({ messages, n: 1 }, { ignore: ["weight"] }), {
    kind: "chat",
    where,
    messages,
    variables: { n: 1 },
  });
  // A field that is needed cannot be left out.
  refuses(row, /no answer to it/, { ignore: ["completion"] });
  refuses({ text: "a" }, /no field "text", which template names/, { template: "{text}", ignore: ["text"] });
});

test("messages keep the fields that a chat template may read, and their own form is checked", () => {
  const call = { type: "function", function: { name: "f", arguments: { a: 1 } } };
  const messages = [
    { role: "user", content: [{ type: "text", text: "hi" }], name: "Bo" },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", content: "1", tool_call_id: "x" },
    { role: "assistant", content: "yo", reasoning_content: "hm" },
  ];
  const tools = [{ type: "function", function: { name: "f" } }];
  assert.deepEqual(read({ messages, tools, id: 1 }), { kind: "chat", where, messages, variables: { tools, id: 1 } });
  assert.deepEqual(read({ messages, tools: JSON.stringify(tools) }), {
    kind: "chat",
    where,
    messages,
    variables: { tools },
  });
  const asked = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yo" },
  ];
  assert.deepEqual(read({ messages: asked, prompt: "hi" }), { kind: "chat", where, messages: asked });
  refuses({ messages: ["hi"] }, /messages\[0\] must be \{"role", "content"\}, got "hi"/);
  refuses(
    { messages: [{ role: "assistant" }] },
    /messages\[0\]\.content must be a string or a list of parts, got undefined/,
  );
  refuses({ messages: [{ role: "assistant", content: null, tool_calls: "f" }] }, /tool_calls must be a list, got "f"/);
  const parts = (part: unknown) => ({ messages: [{ role: "user", content: [part] }, ...asked] });
  refuses(parts({ type: "image", url: "x" }), /messages\[0\]\.content\[0\]\.type is "image"; only "text" can be read/);
  refuses(parts({ type: "text" }), /content\[0\]\.text must be a string/);
  refuses(parts({ type: "text", text: "a", cache: 1 }), /content\[0\]\.cache is not read/);
  refuses({ messages: asked, tools: "get_weather" }, /tools must be a list of objects, got "get_weather"/);
  refuses({ messages: asked, tools: [{ a: ["\ud800"] }] }, /tools\[0\]\.a\[0\] holds half of a surrogate pair/);
});

test("a question with tools keeps them; a turn that calls a tool is no completion", () => {
  const user = { role: "user", content: "hi" };
  const call = { role: "assistant", content: "", tool_calls: [{ function: { name: "f", arguments: {} } }] };
  const tools = [{ name: "f" }];
  const question = questionReader()({ messages: [user, call], tools }, where);
  assert.deepEqual(question, { where, prompt: { messages: [user], variables: { tools } } });
});

test("a contradictory format is refused as a mistake of the configuration", () => {
  for (const format of [
    { template: "{a" },
    { template: "a}" },
    { template: "{}" },
    { choices: { a: "1", b: "2" } },
    { template: "{a}{b}" },
    { template: "{a}", completion: "{b}", choices: { a: "1", b: "2" } },
  ]) {
    assert.throws(
      () => rowReader(format),
      (error) => error instanceof KindredError && error.code === "invalid_config",
      JSON.stringify(format),
    );
  }
});

test("any row is a question: its answer may be missing, and is kept where it is present", () => {
  const ask = (row: unknown, format: RowFormat = {}) => questionReader(format)(row, where);
  assert.deepEqual(ask("plain"), { where, prompt: "plain" });
  assert.deepEqual(ask({ prompt: "p" }), { where, prompt: "p" });
  const choices = ["a", "b"];
  assert.deepEqual(ask({ prompt: "p", choices }), { where, prompt: "p", choices });
  assert.deepEqual(ask({ prompt: "p", choices, completion: "b" }), { where, prompt: "p", choices, completion: "b" });
  const [user, assistant] = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "yo" },
  ];
  assert.deepEqual(ask({ messages: [user] }), { where, prompt: { messages: [user] } });
  assert.deepEqual(ask({ messages: [user, assistant, user] }), {
    where,
    prompt: { messages: [user, assistant, user] },
  });
  assert.deepEqual(ask({ messages: [user, assistant] }), { where, prompt: { messages: [user] }, completion: "yo" });
  const asked = { where, prompt: "Text: x\nAnswer:", choices: [" no", " yes"] };
  assert.deepEqual(ask({ text: "x" }, labels), asked);
  assert.deepEqual(ask({ text: "x", label: 1 }, labels), { ...asked, completion: " yes" });
  for (const [row, message] of [
    [{ messages: [] }, /messages is empty/],
    [{ prompt: "p", choices, completion: "c" }, /completion "c" is not among the choices/],
    [{ text: "x" }, /neither prompt and completion, nor instruction/],
  ] as const) {
    assert.throws(() => ask(row), message);
  }
  assert.throws(() => ask({ text: "x", label: 7 }, labels), /label 7 is not in the set of labels/);
});
