/** What `kindred evaluate` prints, against transformers with PEFT. Fixtures: test/fixtures/make_evaluate.py, make_stories.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { loadTokenizer } from "../../../client/models/tokenizer.js";
import { type Evaluation, evaluateFile } from "../../../client/tasks/evaluate.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { DEFAULT_RUNTIME, type RuntimeChoice } from "../../../shared/runtimes/types.js";
import { allLogits } from "../../support/logits.js";

interface Expected {
  readonly maxTokens: number;
  readonly base: Evaluation;
  readonly adapter?: Evaluation;
  readonly forms: Readonly<Record<string, { readonly base: Evaluation; readonly adapter?: Evaluation }>>;
}

const fixture = (...parts: string[]): string => asset("test", "fixtures", ...parts);
const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T;
const EXPECTED = readJson<Readonly<Record<string, Expected>>>(fixture("evaluate", "expected.json"));
const ADAPTER = fixture("peft", "adapters", "all");
const DATA = process.env.KINDRED_DATA;
const STORIES = DATA === undefined ? undefined : join(DATA, "models", "stories260K");

function evaluate(
  model: string,
  rows: string,
  maxTokens: number,
  adapter?: string,
  runtime: RuntimeChoice = DEFAULT_RUNTIME,
): Promise<Evaluation> {
  const data = fixture("evaluate", `${rows}.jsonl`);
  const job = { model, quantization: "none", data, maxTokens, endOfText: "auto", format: {}, runtime } as const;
  const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  return evaluateFile(adapter === undefined ? job : { ...job, adapter }, context);
}

function assertNear(got: Evaluation, want: Evaluation): void {
  assert.deepEqual(Object.keys(got), ["examples", "tokens", "loss", "accuracy", "macroF1"]);
  assert.equal(got.examples, want.examples);
  assert.equal(got.tokens, want.tokens);
  assert.ok(Math.abs(got.loss - want.loss) <= 1e-4 * want.loss, `${got.loss}, should be ${want.loss}`);
  assert.equal(got.accuracy, want.accuracy);
  assert.ok(got.macroF1 === want.macroF1 || Math.abs(got.macroF1! - want.macroF1!) < 1e-12);
}

describe("evaluate finds what transformers with PEFT finds", () => {
  const { maxTokens, base, adapter, forms } = EXPECTED.tied as Expected;
  const tied = fixture("llama", "tied");

  it("on rows of all forms, with and without an adapter", async () => {
    assertNear(await evaluate(tied, "rows", maxTokens), base);
    assertNear(await evaluate(tied, "rows", maxTokens, ADAPTER), adapter as Evaluation);
  });

  for (const [form, expected] of Object.entries(forms)) {
    it(`on rows of the form ${form} alone`, async () => {
      assertNear(await evaluate(tied, `rows-${form}`, maxTokens), expected.base);
      assertNear(await evaluate(tied, `rows-${form}`, maxTokens, ADAPTER), expected.adapter as Evaluation);
    });
  }

  it("with TensorFlow.js as with ONNX Runtime", async () => {
    const runtime = { ...DEFAULT_RUNTIME, device: "wasm" } as const;
    assertNear(await evaluate(tied, "rows", maxTokens, ADAPTER, runtime), adapter as Evaluation);
  });

  it("on rows of a real model", { skip: STORIES === undefined && "KINDRED_DATA is not set" }, async () => {
    const { maxTokens, base, forms } = EXPECTED.stories260K as Expected;
    assertNear(await evaluate(STORIES as string, "rows", maxTokens), base);
    for (const [form, expected] of Object.entries(forms)) {
      assertNear(await evaluate(STORIES as string, `rows-${form}`, maxTokens), expected.base);
    }
  });
});

describe("stories260K", { skip: STORIES === undefined && "KINDRED_DATA is not set" }, () => {
  it("tells its public story: 200 tokens, each the likeliest after those before it", async () => {
    const greedy = readJson<{ tokens: number[]; text: string; referenceText: string }>(
      fixture("stories260K", "greedy.json"),
    );
    const model = await openBaseModel(STORIES as string);
    const runtime = new OnnxRuntime();
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const layout = loraLayout(model.architecture, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
    const tokens = [1];
    try {
      while (tokens.length < greedy.tokens.length) {
        const data = Int32Array.from(tokens);
        const logits = await allLogits(
          compiledGraphs,
          layout,
          undefined,
          { shape: [1, data.length], data },
          new Meter(),
        );
        const last = logits.subarray(-model.architecture.vocabulary);
        tokens.push(last.reduce((best, x, id) => (x > last[best]! ? id : best), 0));
      }
    } finally {
      await compiledGraphs.close();
      await runtime.close();
    }
    assert.deepEqual(tokens, greedy.tokens);
    const text = (await (await loadTokenizer(STORIES as string)).decode(tokens.slice(1))).trimStart();
    assert.ok(text.startsWith(greedy.referenceText) || greedy.referenceText.startsWith(text), text);
  });
});
