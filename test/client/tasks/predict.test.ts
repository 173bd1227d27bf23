/**
 * What `kindred predict` answers: choices against what `evaluate` finds (which is held to transformers), texts against the
 * tokens one by one, an ensemble against its members.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openModel } from "../../../client/models/open.js";
import { type Evaluation, evaluateFile } from "../../../client/tasks/evaluate.js";
import { type ChoicePrediction, type PredictJob, predict, type TextPrediction } from "../../../client/tasks/predict.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { likeliestToken } from "../../../client/tuning/sampling.js";
import { writeEnsemble } from "../../../shared/adapters/ensemble-folder.js";
import { readPeftAdapter } from "../../../shared/adapters/peft.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";
import { jsonLines, TINY_MODEL } from "../../support/tiny.js";
import { idsOf } from "../data/tokenizers.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-predict-"));
after(() => rmSync(folder, { recursive: true }));

const fixture = (...parts: string[]): string => asset("test", "fixtures", ...parts);
const CHOICES = fixture("evaluate", "rows-choices.jsonl");
const ADAPTER = fixture("peft", "adapters", "all");
/** Its scale is one that an export has to say. */
const RSLORA = fixture("peft", "adapters", "rslora");
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
const common = {
  model: TINY_MODEL,
  quantization: "none",
  format: {},
  maxTokens: 64,
  endOfText: "auto",
  maxNewTokens: 8,
  sampling: { temperature: 0, topK: 0, topP: 1 },
  seed: 0,
  runtime: { kind: "onnx", device: "cpu", threads: 1 },
} as const;

const answers = (job: Pick<PredictJob, "data"> & Partial<PredictJob>) => predict({ ...common, ...job }, context);
const choices = async (data: string, tuned?: PredictJob["tuned"]) =>
  (await answers({ data, ...(tuned ? { tuned } : {}) })) as ChoicePrediction[];

let written = 0;
function rowsFile(rows: readonly unknown[]): string {
  const path = join(folder, `rows-${written++}.jsonl`);
  writeFileSync(path, jsonLines(rows));
  return path;
}

interface Row {
  readonly prompt: string;
  readonly completion: string;
  readonly choices: readonly string[];
}

for (const adapter of [undefined, ADAPTER]) {
  test(`likelihoods of choices are those that evaluate sums, ${adapter ? "with an adapter" : "without"}`, async () => {
    const rows = readFileSync(CHOICES, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    const predictions = await choices(CHOICES, adapter ? { adapter } : undefined);
    const wanted: Evaluation = await evaluateFile(
      {
        model: TINY_MODEL,
        quantization: "none",
        data: CHOICES,
        maxTokens: 64,
        endOfText: "auto",
        format: {},
        runtime: common.runtime,
        ...(adapter ? { adapter } : {}),
      },
      context,
    );
    assert.equal(predictions.length, rows.length);
    let sum = 0;
    for (const [i, { row, predicted, right, choices: all }] of predictions.entries()) {
      const { completion, choices } = rows[i]!;
      assert.equal(row, `${CHOICES}:${i + 1}`);
      assert.deepEqual(
        all.map((choice) => choice.completion),
        choices,
      );
      assert.ok(Math.abs(all.reduce((total, { probability }) => total + probability, 0) - 1) < 1e-9);
      const best = all.reduce((a, b) => (b.logLikelihood > a.logLikelihood ? b : a));
      assert.equal(predicted, best.completion);
      assert.equal(right, predicted === completion);
      const [first, second] = all as [ChoicePrediction["choices"][0], ChoicePrediction["choices"][0]];
      const odds = Math.exp(first.logLikelihood - second.logLikelihood);
      assert.ok(Math.abs(first.probability / second.probability / odds - 1) < 1e-6);
      sum -= all.find((choice) => choice.completion === completion)!.logLikelihood;
    }
    assert.ok(Math.abs(sum / wanted.tokens - wanted.loss) < 1e-4 * wanted.loss);
    assert.equal(predictions.filter(({ right }) => right).length / rows.length, wanted.accuracy);

    const open = rowsFile(rows.map(({ prompt, choices }) => ({ prompt, choices })));
    const withoutAnswers = await choices(open, adapter ? { adapter } : undefined);
    withoutAnswers.forEach((prediction, i) => {
      const { right: _, ...rest } = predictions[i]!;
      assert.deepEqual(prediction, { ...rest, row: `${open}:${i + 1}` });
    });
  });
}

test("prompts and conversations are continued, their own completions unseen; rows keep their order", async () => {
  const messages = [{ role: "user", content: "is the sky blue?" }];
  const said = [...messages, { role: "assistant", content: "yes" }];
  const question = { prompt: "the sky is", choices: [" blue", " red"] };
  const model = join(folder, "chatting");
  cpSync(TINY_MODEL, model, { recursive: true });
  const template =
    "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}{% if add_generation_prompt %}:{% endif %}";
  writeFileSync(join(model, "chat_template.jinja"), template);
  const data = rowsFile(["the dog", { prompt: "the dog" }, question, { messages }, { messages: said }]);
  const [text, prompt, choice, chat, answered] = (await answers({ model, data })) as (TextPrediction &
    ChoicePrediction)[];
  assert.deepEqual([text!.row, choice!.row], [`${data}:1`, `${data}:3`]);
  assert.equal(choice!.choices.length, 2);
  assert.deepEqual({ ...prompt, row: "" }, { ...text, row: "" });
  assert.deepEqual({ ...answered, row: "" }, { ...chat, row: "" });

  const { base, tokenizer, renderChat } = await openModel(model, context);
  const runtime = new OnnxRuntime({ threads: 1 });
  const compiledGraphs = new CompiledGraphs(runtime, base);
  const layout = loraLayout(base.architecture, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
  const end = base.folder.config.eos_token_id as number;
  for (const [prediction, start] of [
    [text, await idsOf(tokenizer, "the dog")],
    [chat, await idsOf(tokenizer, renderChat!({ messages }, { addGenerationPrompt: true }).text, false)],
  ] as const) {
    const tokens = [...start];
    let ended = false;
    while (!ended && tokens.length < start.length + common.maxNewTokens) {
      const feed = { shape: [1, tokens.length] as const, data: Int32Array.from(tokens) };
      const logits = await allLogits(compiledGraphs, layout, undefined, feed, new Meter());
      const next = likeliestToken(logits.subarray(-base.architecture.vocabulary));
      ended = next === end;
      if (!ended) tokens.push(next);
    }
    assert.equal(prediction!.tokens, tokens.length - start.length);
    assert.equal(prediction!.ended, ended);
    assert.equal((await tokenizer.decode(start)) + prediction!.text, await tokenizer.decode(tokens));
  }
  await runtime.close();
});

const STORIES = process.env.KINDRED_DATA && join(process.env.KINDRED_DATA, "models", "stories260K");
const skip = STORIES === undefined && "KINDRED_DATA is not set";

test("what a SentencePiece model writes can be fed back as a completion: it has the tokens that were written", {
  skip,
}, async () => {
  const model = STORIES as string;
  const { tokenizer } = await openModel(model, context);
  for (const prompt of ["Once upon a time", "The dog was", "Lily went to the park. She"]) {
    const [{ text, tokens }] = (await answers({ model, data: rowsFile([{ prompt }]) })) as [TextPrediction];
    assert.match(text, /^ ?[^ ]/);
    const [start, whole] = [await idsOf(tokenizer, prompt), await idsOf(tokenizer, prompt + text)];
    assert.deepEqual(whole.slice(0, start.length), start);
    assert.equal(whole.length, start.length + tokens);
  }
});

test("a prompt that is too long loses its beginning; one without room is refused", async () => {
  const long = "the dog saw a cat in the garden and the cat saw the dog in the rain and went home to sleep";
  const [cut] = (await answers({ data: rowsFile([long]), maxTokens: 20 })) as TextPrediction[];
  assert.equal(cut!.ended || cut!.tokens === common.maxNewTokens, true);
  await assert.rejects(answers({ data: rowsFile([long]), maxTokens: 8 }), {
    code: "invalid_data",
    message: /:1: 8 new tokens leave no room for the prompt within 8 tokens/,
  });
});

async function ensembleOf(name: string, adapters: readonly string[], weights: Record<string, readonly number[]>) {
  const members = [];
  for (const [i, path] of adapters.entries())
    members.push({ name: `m${i}`, tensors: (await readPeftAdapter(path)).tensors });
  const { rank, alpha, dropout, useRslora } = await readPeftAdapter(adapters[0]!);
  const out = join(folder, name);
  await writeEnsemble(out, {
    baseModel: null,
    adapter: { kind: "lora", rank, alpha, dropout, rslora: useRslora, modules: [] },
    members,
    weights: Object.entries(weights),
  });
  return out;
}

test("an ensemble answers by its client's weights: a member alone, the base, and what lies between", async () => {
  const ensemble = await ensembleOf("both", [RSLORA, RSLORA], { one: [1, 0], none: [0, 0], halves: [0.5, 0.5] });
  const of = async (client: string) => (await choices(CHOICES, { ensemble, client })).flatMap((row) => row.choices);
  const alone = (await choices(CHOICES, { adapter: RSLORA })).flatMap((row) => row.choices);
  const base = (await choices(CHOICES)).flatMap((row) => row.choices);
  const near = (got: typeof alone, want: typeof alone, tolerance: number): void =>
    got.forEach(({ logLikelihood }, i) => {
      assert.ok(Math.abs(logLikelihood - want[i]!.logLikelihood) <= tolerance, `choice ${i}`);
    });
  near(await of("one"), alone, 0);
  near(await of("none"), base, 0);
  near(await of("halves"), alone, 1e-4);
  assert.ok(alone.some(({ logLikelihood }, i) => Math.abs(logLikelihood - base[i]!.logLikelihood) > 0.01));
});

test("TensorFlow.js gives the same answers", async () => {
  const ensemble = await ensembleOf("tfjs", [ADAPTER, ADAPTER], { halves: [0.5, 0.3] });
  const data = rowsFile(["the dog", { prompt: "the sky is", choices: [" blue", " red"] }, "is the"]);
  const tuned = { ensemble, client: "halves" };
  const [onnx, wasm] = [
    await answers({ data, tuned }),
    await answers({ data, tuned, runtime: { kind: "tfjs", device: "wasm", threads: 1 } }),
  ] as (TextPrediction & ChoicePrediction)[][];
  assert.deepEqual([wasm![0], wasm![2]], [onnx![0], onnx![2]]);
  wasm![1]!.choices.forEach(({ logLikelihood }, i) => {
    assert.ok(Math.abs(logLikelihood - onnx![1]!.choices[i]!.logLikelihood) < 1e-3);
  });
});

test("an ensemble that does not fit, or lacks the client, is refused by name", async () => {
  const ensemble = await ensembleOf("fit", [ADAPTER], { ann: [1], bob: [1] });
  await assert.rejects(choices(CHOICES, { ensemble, client: "cyd" }), {
    code: "not_found",
    message: /ensemble\.json: has no client "cyd"; known clients: ann, bob$/,
  });
  const model = asset("simulations", "demo", "model");
  await assert.rejects(predict({ ...common, model, data: CHOICES, tuned: { ensemble, client: "ann" } }, context), {
    code: "invalid_adapter",
    message: /m0: tensor \S+ has shape \[4, 32\]; expected \[4, 128\]; is it for another base model\?/,
  });
  const file = join(ensemble, "ensemble.json");
  const content = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  for (const [change, message] of [
    [{ members: ["../m0"] }, /members is not a list of names/],
    [{ members: ["m0", "m1"] }, /weights of client "ann" are not 2 numbers/],
    [{ weights: { ann: ["1"] } }, /weights of client "ann" are not 1 numbers/],
    [{ rule: "average" }, /rule is "average"; only/],
  ] as const) {
    writeFileSync(file, JSON.stringify({ ...content, ...change }));
    await assert.rejects(choices(CHOICES, { ensemble, client: "ann" }), { code: "invalid_adapter", message });
  }
});

test("a stopped job ends at once", async () => {
  const stopped = { ...context, signal: AbortSignal.abort() };
  for (const data of [CHOICES, rowsFile(["the dog"])]) {
    await assert.rejects(predict({ ...common, data }, stopped), { code: "cancelled" });
  }
});
