/** A family of a user's own, from the building blocks: it is opened, scored and trained like the families here. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import {
  type Architecture,
  adaptedLinears,
  attend,
  causalMask,
  defineFamily,
  Fields,
  type Linear,
  layerNorm,
  linearWeights,
  normWeights,
  sharedInput,
  supportedModelTypes,
} from "../../../client/models/building-blocks.js";
import { readArchitecture } from "../../../client/models/families.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { trainAdapter } from "../../../client/tuning/training.js";
import { writeSafetensors } from "../../../shared/adapters/safetensors.js";
import { SeededRng } from "../../../shared/base/random.js";
import { sizeOf } from "../../../shared/base/tensors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

type Json = Readonly<Record<string, unknown>>;

/** Blocks of attention alone: one key and value head, no feed-forward, learned positions, tied head. */
function attentionOnly(json: Json, file: string): Architecture {
  const fields = new Fields(json, file);
  const hidden = fields.integer("hidden_size");
  const heads = fields.integer("num_attention_heads");
  const headDim = fields.headDim("hidden_size", "num_attention_heads");
  const vocabulary = fields.integer("vocab_size");
  const context = fields.integer("max_position_embeddings");
  const layers = fields.layers("num_hidden_layers");
  const blocks = Array.from({ length: layers }, (_, layer) => `blocks.${layer}`);
  const linear = (name: string, out: number): Linear => {
    return { name, inputGroup: name, out, in: hidden, bias: false, inputFirst: false };
  };
  const linears = blocks.flatMap((block) => [
    ...sharedInput(linear(`${block}.q`, hidden), linear(`${block}.k`, headDim), linear(`${block}.v`, headDim)),
    linear(`${block}.o`, hidden),
  ]);
  return {
    layers,
    hidden,
    vocabulary,
    context,
    weights: new Map([
      ["embed.weight", [vocabulary, hidden]],
      ["positions.weight", [context, hidden]],
      ...linearWeights(linears),
      ...normWeights(["norm"], hidden),
    ]),
    prefix: "",
    linears,
    blocks,
    attentionModules: ["q", "k", "v", "o"],
    positionTables: [
      { name: "positions", dtype: "int32", shape: ["B", "T"], values: ({ position }) => position },
      causalMask("mask"),
    ],
    hiddenStates: (g, { tokens, table, onLayerInput, withPast }, weight, adapt) => {
      const apply = adaptedLinears(g, linears, weight, adapt);
      const embedded = g.gather(weight("embed.weight"), tokens);
      let x = g.rows(g.add(embedded, g.gather(weight("positions.weight"), table("positions"))));
      for (const block of blocks) {
        onLayerInput(x);
        const states = { q: apply(`${block}.q`, x), k: apply(`${block}.k`, x), v: apply(`${block}.v`, x) };
        const mixed = attend(g, states, { heads, kvHeads: 1, headDim }, { mask: table("mask"), withPast });
        x = adapt.join(block, "attention", x, apply(`${block}.o`, mixed));
      }
      return x;
    },
    head: (g, rows, weight) => ({ states: layerNorm(g, rows, "norm", 1e-5, weight), weight: weight("embed.weight") }),
  };
}

const CONFIG = {
  model_type: "attention_only_test",
  hidden_size: 16,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  vocab_size: 24,
  max_position_embeddings: 12,
};

defineFamily({ modelType: CONFIG.model_type, read: attentionOnly });

/** Writes a model with weights drawn from a seed. */
async function modelFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "kindred-family-"));
  after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "config.json"), JSON.stringify(CONFIG));
  const rng = new SeededRng(5, "weights");
  const tensors = new Map(
    [...readArchitecture(CONFIG).weights].map(([name, shape]) => {
      const values = Float32Array.from({ length: sizeOf(shape) }, () => 0.3 * rng.normal());
      return [name, { shape, data: values }] as const;
    }),
  );
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  return folder;
}

test("a model of a defined family is opened, and steps of training lower its loss", async () => {
  const model = await openBaseModel(await modelFolder());
  assert.equal(model.parameters, 24 * 16 + 12 * 16 + 2 * (2 * 16 * 16 + 2 * 8 * 16) + 2 * 16);
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const layout = loraLayout(model.architecture, { rank: 4, alpha: 8, modules: [], dropout: 0, freezeA: false });
  assert.deepEqual(
    layout.linears.map(({ name }) => name),
    ["q", "k", "v", "o"]
      .flatMap((part) => [`blocks.0.${part}`])
      .concat(["q", "k", "v", "o"].map((p) => `blocks.1.${p}`)),
  );
  const rows: EncodedRow[] = [
    { tokens: Int32Array.of(1, 5, 9, 2, 7), scored: Int32Array.of(3, 4) },
    { tokens: Int32Array.of(1, 6, 3), scored: Int32Array.of(2) },
  ];
  const plan = { learningRate: 0.02, warmupSteps: 0, totalSteps: 8, firstStep: 0, steps: 8 };
  const rest = { weightDecay: 0, clipNorm: 1, seed: 1 };
  const start = initialAdapter(layout, 1);
  const { losses } = await trainAdapter(
    compiledGraphs,
    { layout, values: start },
    () => rows,
    { ...plan, ...rest },
    { meter: new Meter() },
  );
  await compiledGraphs.close();
  assert.equal(losses.length, 8);
  assert.ok(losses[0]! > 0.5 && losses.at(-1)! < losses[0]! - 0.1, losses.join(" "));
});

test("a field of the configuration that the family refuses is named with the file", () => {
  assert.throws(() => readArchitecture({ ...CONFIG, hidden_size: 15 }, "/m/config.json"), {
    code: "invalid_model",
    message: /^\/m\/config\.json: hidden_size is 15; expected a multiple of num_attention_heads \(2\)/,
  });
});

test("a model_type that has a family is refused, and so is a family without a name or a function", () => {
  const before = supportedModelTypes();
  for (const modelType of ["llama", CONFIG.model_type])
    assert.throws(() => defineFamily({ modelType, read: attentionOnly }), {
      code: "name_taken",
      message: `defineFamily.modelType: "${modelType}" has a family; choose another name`,
    });
  assert.throws(() => defineFamily({ modelType: "", read: attentionOnly }), { code: "invalid_option" });
  assert.throws(() => defineFamily({ modelType: 3, read: attentionOnly } as never), { code: "invalid_option" });
  assert.throws(() => defineFamily({ modelType: "mine" } as never), { code: "invalid_option" });
  assert.deepEqual(supportedModelTypes(), before);
});

test("an architecture whose parts contradict each other is refused by its family's name", () => {
  const plain = attentionOnly(CONFIG, "config.json");
  const without = (name: string) => new Map([...plain.weights].filter(([key]) => key !== name));
  const [first, ...others] = plain.linears as readonly [Linear, ...Linear[]];
  const cases: readonly (readonly [name: string, change: Partial<Architecture>, says: RegExp])[] = [
    ["blocks", { blocks: ["blocks.0"] }, /blocks names 1 layers; expected 2/],
    [
      "missing",
      { weights: without("blocks.1.k.weight") },
      /weights has blocks\.1\.k\.weight as undefined; expected \[8,16\]/,
    ],
    [
      "turned",
      { linears: [...others, { ...first, inputFirst: true, out: 8 }] },
      /blocks\.0\.q\.weight as \[16,16\]; expected \[16,8\]/,
    ],
    ["bias", { linears: [...others, { ...first, bias: true }] }, /weights lacks blocks\.0\.q\.bias/],
    ["twice", { linears: [...plain.linears, first] }, /names a linear twice/],
    ["input", { linears: [...others, { ...first, inputGroup: "x" }] }, /linear blocks\.0\.q has inputGroup x/],
    ["modules", { attentionModules: ["q_proj"] }, /attentionModules names "q_proj"/],
  ];
  for (const [name, change, says] of cases) {
    const modelType = `contradiction_${name}`;
    defineFamily({ modelType, read: () => ({ ...plain, ...change }) });
    assert.throws(
      () => readArchitecture({ model_type: modelType }),
      (error: Error) => {
        assert.match(error.message, says);
        assert.ok(error.message.startsWith(`defineFamily("${modelType}").read: `), error.message);
        return true;
      },
    );
  }
});
