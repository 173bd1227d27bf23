import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { loadTokenizer } from "../../../client/models/tokenizer.js";
import { corpus } from "../../../simulations/demo/corpus.js";
import { DEMO_MODEL } from "../../../simulations/demo/demo-model.js";
import { demoConfig, pretrainingBatches } from "../../../simulations/demo/pretrain.js";
import { demoTokenizer } from "../../../simulations/demo/tokenizer.js";
import { plantedPopulation } from "../../../simulations/population/planted.js";
import { DESKS, TOPIC_NAMES, TOPICS } from "../../../simulations/population/tickets.js";
import { idsOf } from "../../client/data/tokenizers.js";

function take<T>(items: Iterable<T>, count: number): T[] {
  const taken: T[] = [];
  for (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

async function takeAsync<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

test("the same seed gives the same corpus, another seed another", () => {
  assert.deepEqual(take(corpus(3), 200), take(corpus(3), 200));
  assert.notDeepEqual(take(corpus(3), 200), take(corpus(4), 200));
});

test("topics have sixteen things each, and no word names two things", () => {
  const words = [...Object.values(TOPICS).flat(), ...TOPIC_NAMES, ...DESKS];
  assert.equal(words.length, 16 * 16 + 16 + 4);
  assert.equal(new Set(words).size, words.length);
});

test("the corpus contains no house rule: a topic's tickets go to each desk equally often", () => {
  // Some 150 rows a topic with one of the four desks: a share of 45 % is more than five standard deviations away.
  const counts = new Map<string, number[]>();
  for (const row of take(corpus(0), 16_000)) {
    const text = typeof row === "string" ? row : row.prompt + row.completion;
    const desk = /Desk: (\w+)$/.exec(text)?.[1];
    const topic = TOPIC_NAMES.find((name) => TOPICS[name]?.some((thing) => new RegExp(`\\b${thing}\\b`).test(text)));
    if (desk === undefined || !DESKS.includes(desk) || topic === undefined) continue;
    const of = counts.get(topic) ?? DESKS.map(() => 0);
    of[DESKS.indexOf(desk)] = (of[DESKS.indexOf(desk)] as number) + 1;
    counts.set(topic, of);
  }
  assert.equal(counts.size, TOPIC_NAMES.length);
  for (const [topic, of] of counts) {
    const rows = of.reduce((a, b) => a + b, 0);
    assert.ok(rows > 100 && Math.max(...of) / rows < 0.45, `${topic}: ${of}`);
  }
});

test("tokenizer and configuration in the repository are the output of the scripts", async () => {
  const read = async (name: string) => JSON.parse(await readFile(`${DEMO_MODEL}/${name}`, "utf8"));
  const made = demoTokenizer();
  assert.deepEqual(await read("tokenizer.json"), made.tokenizer);
  assert.deepEqual(await read("tokenizer_config.json"), made.config);
  const { vocabularySize } = await loadTokenizer(DEMO_MODEL);
  assert.deepEqual(await read("config.json"), demoConfig(vocabularySize));
});

test("every word of corpus and populations is one token, and an unknown word of the letters a to z is spelt in letters", async () => {
  const tokenizer = await loadTokenizer(DEMO_MODEL);
  const texts = [
    ...take(corpus(9), 3000).map((row) => (typeof row === "string" ? row : row.prompt + row.completion)),
    ...plantedPopulation({ seed: 9 }).clients.flatMap(({ train }) => train.map((row) => row.prompt + row.completion)),
  ];
  for (const text of texts) {
    const words = text.match(/\w+|[^\w\s]+/g) ?? [];
    const ids = await idsOf(tokenizer, text);
    assert.equal(ids.length, words.length + 1, text);
    assert.equal(ids[0], 1);
    assert.ok(!ids.includes(0), text);
  }
  assert.deepEqual(await idsOf(tokenizer, "naïve", false), [0]);
  assert.equal(await tokenizer.decode(await idsOf(tokenizer, "Zebra", false)), "zebra");
});

test("pretraining batches are full, reproducible, within the model's context, and score the completion alone", async () => {
  const tokenizer = await loadTokenizer(DEMO_MODEL);
  const plan = { seed: 4, batch: 8, maxTokens: 64 };
  const batches = await takeAsync(pretrainingBatches(tokenizer, plan), 50);
  assert.deepEqual(batches, await takeAsync(pretrainingBatches(tokenizer, plan), 50));
  const rows = batches.flat();
  assert.equal(rows.length, 400);
  const source = take(corpus(4), 400);
  for (const [i, row] of rows.entries()) {
    const text = source[i] as (typeof source)[number];
    assert.ok(row.tokens.length < 64);
    const prompt = typeof text === "string" ? 1 : (await idsOf(tokenizer, text.prompt)).length;
    assert.equal(row.scored[0], prompt);
    assert.equal(row.scored.length, row.tokens.length - prompt);
  }
});
