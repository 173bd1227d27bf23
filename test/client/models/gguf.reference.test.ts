/** GGUF files against transformers' own reader of them: logits, token ids. Fixtures: test/fixtures/make_gguf.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { type OpenedModel, openModel } from "../../../client/models/open.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";
import { idsOf } from "../data/tokenizers.js";

interface Encoded {
  readonly text: string;
  readonly ids: readonly number[];
}

const fixture = (name: string): string => asset("test", "fixtures", "gguf", name);
const readJson = <T>(name: string): T => JSON.parse(readFileSync(fixture(name), "utf8")) as T;
const DATA = process.env.KINDRED_DATA;
const SPEC = { rank: 2, alpha: 4, modules: [], dropout: 0, freezeA: true };

const runtime = new OnnxRuntime();
after(() => runtime.close());

const open = (path: string): Promise<OpenedModel> =>
  openModel(path, { log: silentLog, progress: silentProgress, signal: new AbortController().signal });

async function logitsOf(
  { base }: OpenedModel,
  shape: readonly [number, number],
  data: Int32Array,
): Promise<Float32Array> {
  const compiledGraphs = new CompiledGraphs(runtime, base);
  const logits = await allLogits(
    compiledGraphs,
    loraLayout(base.architecture, SPEC),
    undefined,
    { shape, data },
    new Meter(),
  );
  await compiledGraphs.close();
  return logits;
}

function assertNear(got: ArrayLike<number>, want: ArrayLike<number>): void {
  assert.equal(got.length, want.length);
  const [numbers, expected] = [Array.from(got), Array.from(want)];
  const largest = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...numbers.map((x, i) => Math.abs(x - expected[i]!)));
  assert.ok(worst <= 1e-4 * largest, `off by ${worst} where the largest is ${largest}`);
}

async function assertSameIds({ tokenizer }: OpenedModel, texts: readonly Encoded[]): Promise<void> {
  for (const { text, ids } of texts) {
    assert.deepEqual(await idsOf(tokenizer, text), ids, JSON.stringify(text));
  }
}

describe("a GGUF file of Q4_0, Q4_1, Q8_0, F16 and F32 tensors", () => {
  it("has transformers' logits", async () => {
    const file = await readSafetensorsHeader(fixture("tiny.safetensors"));
    const shape = file.tensors.get("tokens")!.shape as [number, number];
    const model = await open(fixture("tiny.gguf"));
    assertNear(await logitsOf(model, shape, await readIntTensor(file, "tokens")), await readTensor(file, "logits"));
  });

  it("has transformers' token ids, from a vocabulary with scores", async () => {
    await assertSameIds(await open(fixture("tiny.gguf")), readJson<Encoded[]>("tiny.json"));
  });

  it("has the chat template of its metadata, which may write special tokens", async () => {
    const { renderChat } = await open(fixture("tiny.gguf"));
    const messages = [{ role: "user" as const, content: "hi" }];
    assert.equal(renderChat?.({ messages }, { addGenerationPrompt: false }).text, "user: hi</s>");
  });
});

describe("SmolLM2-135M-Instruct in Q4_1", { skip: DATA === undefined && "KINDRED_DATA is not set" }, () => {
  const folder = join(DATA ?? "", "models", "SmolLM2-135M-Instruct-gguf");
  const expected = readJson<{ prompt: string; stride: number; logits: number[]; texts: Encoded[] }>("smollm2.json");

  it("has its own token ids, numbers digit by digit", async () => {
    await assertSameIds(await open(folder), expected.texts);
  });

  it("has transformers' logits", async () => {
    const model = await open(folder);
    const ids = Int32Array.from(await idsOf(model.tokenizer, expected.prompt));
    const logits = (await logitsOf(model, [1, ids.length], ids)).slice(-model.base.architecture.vocabulary);
    assertNear(
      expected.logits.map((_, i) => logits[i * expected.stride]!),
      expected.logits,
    );
    assert.equal(await model.tokenizer.decode([logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))]), " Paris");
  });
});
