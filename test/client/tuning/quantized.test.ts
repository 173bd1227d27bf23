/**
 * Training and scoring on a quantised base give the results of the float32 model whose weights are the dequantised values. The model
 * is the tiny GGUF of test/fixtures/make_gguf.py.
 */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { type BaseModel, openBaseModel } from "../../../client/models/base.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { adapterLayout } from "../../../client/tuning/kinds.js";
import { scoreMixtures } from "../../../client/tuning/scoring.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import type { AdapterSettings } from "../../../shared/adapters/settings.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import type { WeightSource } from "../../../shared/graph/graph.js";
import { packedBytes, QUANTIZATIONS } from "../../../shared/quantization/layout.js";
import { unpack } from "../../../shared/quantization/pack.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const TINY = asset("test", "fixtures", "gguf", "tiny.gguf");
const folder = await mkdtemp(join(tmpdir(), "kindred-quantized-"));
const runtime = new OnnxRuntime({ threads: 1 });
after(async () => {
  await runtime.close();
  await rm(folder, { recursive: true, force: true });
});

/** The same model with its packed weights dequantised to float32. */
async function spread(model: BaseModel): Promise<BaseModel> {
  const sources = new Map<string, WeightSource>(model.sources);
  for (const [name, { path, offset, form }] of model.sources) {
    if (form === undefined) continue;
    const shape = model.architecture.weights.get(name)!;
    const bytes = (await readFile(path)).subarray(offset, offset + packedBytes(form, shape));
    const file = join(folder, `${model.hash}-${name}`);
    await writeFile(file, new Uint8Array(unpack(form, new Uint8Array(bytes), shape).buffer));
    sources.set(name, { path: file, offset: 0 });
  }
  return { ...model, sources };
}

/** Sequences of a few tokens that follow each other in one order. */
const rows: EncodedRow[] = Array.from({ length: 16 }, (_, i) => {
  const start = new SeededRng(i, "row").int(8);
  return {
    tokens: Int32Array.from({ length: 12 }, (_, at) => (at === 0 ? 1 : 259 + ((start + at) % 8))),
    scored: Int32Array.from({ length: 10 }, (_, at) => at + 2),
  };
});

const LORA: AdapterSettings = {
  kind: "lora",
  rank: 4,
  alpha: 8,
  modules: ["q_proj", "v_proj", "down_proj"],
  dropout: 0,
  freezeA: false,
  rslora: false,
};
const HOULSBY: AdapterSettings = { kind: "houlsby", reduction: 4, activation: "relu", dropout: 0, freezeA: false };
const PLAN = {
  learningRate: 0.02,
  warmupSteps: 2,
  totalSteps: 20,
  weightDecay: 0,
  clipNorm: 1,
  seed: 1,
  firstStep: 0,
  steps: 20,
};

async function trained(model: BaseModel, settings = LORA): Promise<{ losses: readonly number[]; scored: number }> {
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const layout = adapterLayout(model, settings);
  const { losses, values } = await trainAdapter(
    compiledGraphs,
    { layout, values: initialAdapter(layout, 3) },
    () => rows,
    PLAN,
    { meter: new Meter() },
  );
  const [score] = await scoreMixtures(compiledGraphs, { layout, members: [values] }, [[1]], rows, {
    meter: new Meter(),
  });
  await compiledGraphs.close();
  return { losses, scored: score!.nllSum / score!.tokens };
}

for (const quantization of ["none", ...QUANTIZATIONS] as const) {
  describe(quantization === "none" ? "a GGUF's own blocks" : quantization, () => {
    it("trains an adapter as the float32 model of the same values does, and the loss falls", async () => {
      const model = await openBaseModel(TINY, { quantization });
      // Bottlenecks on one form: what an adapter is does not change how a weight is spread.
      for (const settings of quantization === "nf4" ? [LORA, HOULSBY] : [LORA]) {
        const got = await trained(model, settings);
        const want = await trained(await spread(model), settings);
        assert.ok(got.losses.at(-1)! < 0.6 * got.losses[0]!, `from ${got.losses[0]} to ${got.losses.at(-1)}`);
        assert.ok(got.scored < 0.6 * got.losses[0]!, `scored ${got.scored}`);
        for (const [step, loss] of want.losses.entries()) {
          assert.ok(
            Math.abs(got.losses[step]! - loss) <= 1e-3 * loss,
            `step ${step}: ${got.losses[step]}, not ${loss}`,
          );
        }
        assert.ok(Math.abs(got.losses[0]! - want.losses[0]!) <= 1e-5 * want.losses[0]!);
      }
    });

    it("packs the linears, and nothing else", async () => {
      const { sources } = await openBaseModel(TINY, { quantization });
      const forms = new Map([...sources].map(([name, { form }]) => [name, form]));
      const own = {
        "self_attn.q_proj": "int4-min",
        "self_attn.k_proj": "int4",
        "self_attn.v_proj": undefined,
      } as const;
      for (const [name, form] of Object.entries(own)) {
        assert.equal(forms.get(`model.layers.1.${name}.weight`), quantization === "none" ? form : quantization);
      }
      for (const name of ["model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight"]) {
        assert.equal(forms.get(name), undefined);
      }
    });
  });
}

describe("a quantised base", () => {
  it("has a hash of its own, by which clients of one run are known to agree", async () => {
    const hashes = await Promise.all(
      (["none", ...QUANTIZATIONS] as const).map(
        async (quantization) => (await openBaseModel(TINY, { quantization })).hash,
      ),
    );
    assert.equal(new Set(hashes).size, hashes.length);
  });
});
