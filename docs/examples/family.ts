/**
 * A family of models of your own: blocks of causal attention alone, one key and value head, no norm inside a block. Its folders hold
 * config.json with `"model_type": "attention_only"` and weights under the names below. Run with such a model:
 *
 *     node family.ts simulate.yaml runs/mine
 */
import {
  type AdapterHooks,
  type Architecture,
  adaptedLinears,
  attend,
  causalMask,
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

const [config = "simulate.yaml", out = "runs/family"] = process.argv.slice(2);
await simulate(config, { out });
