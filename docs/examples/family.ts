/**
 * A family of models of your own: blocks of causal attention alone, one key and value head, no norm inside a block. Its folders hold
 * config.json with `"model_type": "attention_only"`, weights under the names below, and a tokenizer.
 */
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AdapterHooks,
  type Architecture,
  adaptedLinears,
  attend,
  causalMask,
  DEMO_MODEL,
  defineFamily,
  Fields,
  type GraphBuilder,
  type Linear,
  layerNorm,
  linearWeights,
  normWeights,
  type SequenceInputs,
  sharedInput,
  simulate,
  type Value,
  type WeightOf,
  writeSafetensors,
} from "kindred";

const EMBEDDING = "embed.weight";
const POSITIONS = "positions.weight";

export function attentionOnly(json: Readonly<Record<string, unknown>>, file: string): Architecture {
  const fields = new Fields(json, file); // a field that is missing or wrong is refused by file, field and value
  const hidden = fields.integer("hidden_size");
  const heads = fields.integer("num_attention_heads");
  const headDim = fields.headDim("hidden_size", "num_attention_heads");
  const vocabulary = fields.integer("vocab_size");
  const context = fields.integer("max_position_embeddings", 1024);
  const layers = fields.layers("num_hidden_layers");

  const blocks = Array.from({ length: layers }, (_, layer) => `blocks.${layer}`);
  const linear = (name: string, out: number): Linear => {
    return { name, inputGroup: name, out, in: hidden, bias: false, inputFirst: false };
  };
  const linears = blocks.flatMap((block) => [
    ...sharedInput(linear(`${block}.q`, hidden), linear(`${block}.k`, headDim), linear(`${block}.v`, headDim)),
    linear(`${block}.o`, hidden),
  ]);

  function hiddenStates(g: GraphBuilder, inputs: SequenceInputs, weight: WeightOf, adapt: AdapterHooks): Value {
    const { tokens, table, onLayerInput, withPast } = inputs;
    const apply = adaptedLinears(g, linears, weight, adapt);
    let x = g.rows(g.add(g.gather(weight(EMBEDDING), tokens), g.gather(weight(POSITIONS), table("positions"))));
    for (const block of blocks) {
      onLayerInput(x);
      const states = { q: apply(`${block}.q`, x), k: apply(`${block}.k`, x), v: apply(`${block}.v`, x) };
      const mixed = attend(g, states, { heads, kvHeads: 1, headDim }, { mask: table("mask"), withPast });
      x = adapt.join(block, "attention", x, apply(`${block}.o`, mixed));
    }
    return x;
  }

  return {
    layers,
    hidden,
    vocabulary,
    context,
    weights: new Map([
      [EMBEDDING, [vocabulary, hidden]],
      [POSITIONS, [context, hidden]],
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
    hiddenStates,
    head: (g, rows, weight) => ({ states: layerNorm(g, rows, "norm", 1e-5, weight), weight: weight(EMBEDDING) }),
  };
}

defineFamily({ modelType: "attention_only", read: attentionOnly });

// A model of this family with weights that no training has seen, and the demo's tokenizer.
const config = {
  model_type: "attention_only",
  hidden_size: 32,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  vocab_size: 451,
  max_position_embeddings: 64,
};
const folder = await mkdtemp(join(tmpdir(), "attention-only-"));
await writeFile(`${folder}/config.json`, JSON.stringify(config));
for (const file of ["tokenizer.json", "tokenizer_config.json"])
  await copyFile(`${DEMO_MODEL}/${file}`, `${folder}/${file}`);
const weights = [...attentionOnly(config, "config.json").weights].map(([name, shape], w) => {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: size }, (_, i) => 0.3 * Math.sin(1 + i * (w + 1.7)));
  return [name, { shape, data }] as const;
});
await writeSafetensors(`${folder}/model.safetensors`, new Map(weights));

const rows = (completion: string) =>
  Array.from({ length: 8 }, (_, i) => ({ prompt: `Room ${i}: the lamp is broken. Desk:`, completion }));
const report = await simulate({
  model: folder,
  population: [
    { client: "harbour", train: rows(" north") },
    { client: "castle", train: rows(" south") },
  ],
  training: { epochs: 4, learningRate: 0.03 },
  compare: ["base"],
});
console.log(report.methods.base?.mean.loss, report.methods.kindred?.mean.loss);
await rm(folder, { recursive: true });
