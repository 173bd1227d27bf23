import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { DEFAULT_RUNTIME } from "../../../shared/runtimes/types.js";
import { type CheckJob, checkData } from "../../../simulations/population/check.js";
import { checkText } from "../../../simulations/population/check-text.js";
import { temporaryFolder } from "../../support/federation.js";

const { path: folder, remove } = temporaryFolder();
after(remove);

const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
const check = (data: string, more: Partial<CheckJob> = {}) =>
  checkData(
    {
      model: asset("simulations", "demo", "model"),
      quantization: "none",
      data,
      format: {},
      maxTokens: 512,
      endOfText: "auto",
      seed: 0,
      runtime: DEFAULT_RUNTIME,
      timed: false,
      ...more,
    },
    context,
  );
const text = (result: Awaited<ReturnType<typeof check>>, color = false) =>
  checkText({ model: "model", data: "data", ...result }, { color });

test("a client's folder: its rows, labels, three rows with what is scored, and the cost", async () => {
  const result = await check(asset("docs", "example", "sites", "harbour"), { timed: true, epochs: 1, batch: 5 });
  const [client] = result.clients;
  assert(client !== undefined);
  assert.equal(client.name, "harbour");
  assert.deepEqual(
    [client.splits.train.rows, client.splits.validation.rows, client.splits.test.rows, client.drawn.length],
    [24, 12, 50, 0],
  );
  assert.deepEqual(
    client.labels.map(({ completion, rows }) => [completion, rows.train]),
    [
      [" north", 11],
      [" south", 13],
    ],
  );
  assert.deepEqual(
    result.examples[0]?.parts.filter(({ scored }) => scored).map((part) => part.text.trim()),
    ["north"],
  );
  const { steps, seconds, flops } = result.training;
  assert.equal(steps, 5);
  assert.ok(flops > 0 && seconds !== null && seconds > 0);
  const words = text(result);
  assert.match(words, /\[\[ ?north\]\]/);
  assert.match(words, /5 steps of 5 rows \(1 pass over the rows\), [\d.]+ [A-Z]+, about [\d.]+ s on this machine/);
  assert.match(words, /decided on 12 validation rows/);
});

test("a population of files: a line per client, notes with the client's name, no time unless asked", async () => {
  const sites = join(folder, "sites");
  mkdirSync(sites);
  const rows = (n: number) => Array.from({ length: n }, (_, at) => `"the desk number ${at}"\n`).join("");
  writeFileSync(join(sites, "a.jsonl"), rows(6));
  writeFileSync(join(sites, "b.jsonl"), rows(9) + rows(9));
  const result = await check(sites);
  assert.deepEqual(
    result.clients.map(({ name }) => name),
    ["a", "b"],
  );
  assert.equal(result.training.seconds, null);
  assert.deepEqual(
    result.clients.map(({ training }) => training.steps),
    [3, 6],
  );
  const words = text(result);
  assert.match(words, /^a +4 +1\* +1\*/m);
  assert.match(words, /\* rows drawn from the training rows/);
  assert.match(words, /^b: \d of 2 test rows are also train rows$/m);
  assert(!words.includes("on this machine"));
  // Many clients with the same note: one line.
  const [first] = result.clients;
  assert(first !== undefined);
  const clients = ["a", "b", "c", "d"].map((name, at) => ({
    ...first,
    name,
    notes: [`${at} of 9 rows are long`, "prompts are alike", ...(at < 2 ? [`answer ${at} dominates`] : [])],
  }));
  assert.deepEqual(
    text({ ...result, clients })
      .split("Worth a look:\n")[1]
      ?.trimEnd()
      .split("\n"),
    [
      "a: 0 of 9 rows are long (and 3 clients more, with other numbers)",
      "a: prompts are alike (and 3 clients more)",
      "a: answer 0 dominates",
      "b: answer 1 dominates",
    ],
  );
});

test("a scored line end is seen, and no empty mark stands behind it", async () => {
  const result = await check(asset("docs", "example", "sites", "harbour"));
  const parts = [
    { text: "The door\n", scored: false },
    { text: " is\nred\n", scored: true },
  ];
  const words = text({ ...result, examples: [{ where: "lines.jsonl:1", tokens: 7, parts }] });
  assert(words.includes("The door\n[[ is↵]]\n[[red↵]]\n\n"), words);
});

test("truncation shows what is lost, and hostile text does not reach the terminal", async () => {
  const file = join(folder, "long.jsonl");
  const row = { prompt: "the desk is green and the door is red \u001b[31m. Desk:", completion: " north" };
  writeFileSync(file, `${JSON.stringify(row)}\n`.repeat(5));
  const result = await check(file, { maxTokens: 8 });
  const [client] = result.clients;
  assert.ok(client !== undefined && client.splits.train.truncated.rows === 3 && client.splits.train.longest > 8);
  assert.equal(client.duplicates.within.train, 2);
  for (const color of [false, true]) {
    const words = text(result, color);
    assert(!words.includes("\u001b[31m"));
    assert.match(words, /5 of 5 rows are longer than maxTokens and lose tokens/);
  }
});
