/**
 * GPT-2 as a graph (Radford et al. 2019): learned positions, LayerNorm before attention and feed-forward, weights stored
 * [in, out], the embedding as head. Follows transformers' modeling_gpt2.py.
 */
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { AdapterHooks, Architecture, Linear, SequenceInputs, WeightOf } from "./architecture.js";
import { attend, causalMask } from "./attention.js";
import { Fields } from "./fields.js";
import { type Activation, adaptedLinears, type LayerLinears, layerNorm, linearWeights, normWeights } from "./layers.js";

interface Gpt2Config {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly eps: number;
  readonly activation: Activation;
  /** Factor of the attention scores in a layer. */
  readonly scale: (layer: number) => number;
}

const blockName = (layer: number): string => `transformer.h.${layer}`;
const EMBEDDING = "transformer.wte.weight";
const POSITIONS = "transformer.wpe.weight";
const HEAD = "lm_head.weight";
const FINAL = "transformer.ln_f";

/** Reads config.json of `model_type` gpt2. @throws {KindredError} `unsupported` or `invalid_model` naming the field */
export function gpt2(json: Readonly<Record<string, unknown>>, file: string): Architecture {
  const fields = new Fields(json, file);
  if (fields.flag("add_cross_attention", false)) fields.unsupported("add_cross_attention", true, "false");
  const headDim = fields.headDim("n_embd", "n_head");
  const hidden = fields.integer("n_embd");
  const vocabulary = fields.integer("vocab_size");
  const context = fields.integer("n_positions", 1024);
  const scale = fields.flag("scale_attn_weights", true) ? headDim ** -0.5 : 1;
  const byLayer = fields.flag("scale_attn_by_inverse_layer_idx", false);
  const config: Gpt2Config = {
    hidden,
    layers: fields.layers("n_layer"),
    heads: fields.integer("n_head"),
    headDim,
    feedForward: fields.integer("n_inner", 4 * hidden),
    eps: fields.positive("layer_norm_epsilon", 1e-5),
    activation: fields.activation("activation_function", "gelu_new"),
    scale: (layer) => (byLayer ? scale / (layer + 1) : scale),
  };
  const tied = fields.flag("tie_word_embeddings", true);
  const layers = Array.from({ length: config.layers }, (_, layer) => linearsOfLayer(config, layer));
  const linears = layers.flat();
  return {
    layers: config.layers,
    hidden,
    vocabulary,
    context,
    weights: new Map([
      [EMBEDDING, [vocabulary, hidden]],
      [POSITIONS, [context, hidden]],
      ...layers.flatMap((own, layer) => [
        ...normWeights([`${blockName(layer)}.ln_1`, `${blockName(layer)}.ln_2`], hidden),
        ...linearWeights(own),
      ]),
      ...normWeights([FINAL], hidden),
      ...(tied ? [] : [[HEAD, [vocabulary, hidden]] as const]),
    ]),
    ...(tied ? { tied: { embedding: EMBEDDING, head: HEAD } } : {}),
    prefix: "transformer.",
    linears,
    blocks: layers.map((_, layer) => blockName(layer)),
    attentionModules: ["c_attn", "attn.c_proj"],
    positionTables: [
      {
        name: "places",
        dtype: "int32",
        shape: ["B", "T"],
        values: ({ position }) => position,
      },
      causalMask("mask"),
    ],
    hiddenStates: (g, inputs, weight, adapt) => hiddenStates(g, { ...config, linears }, inputs, weight, adapt),
    head: (g, rows, weight) => ({
      states: layerNorm(g, rows, FINAL, config.eps, weight),
      weight: weight(tied ? EMBEDDING : HEAD),
    }),
  };
}

function linearsOfLayer({ hidden, feedForward }: Gpt2Config, layer: number): Linear[] {
  const linear = (name: string, out: number, width: number): Linear => ({
    name: `${blockName(layer)}.${name}`,
    inputGroup: `${blockName(layer)}.${name}`,
    out,
    in: width,
    bias: true,
    inputFirst: true,
  });
  return [
    linear("attn.c_attn", 3 * hidden, hidden),
    linear("attn.c_proj", hidden, hidden),
    linear("mlp.c_fc", feedForward, hidden),
    linear("mlp.c_proj", hidden, feedForward),
  ];
}

function hiddenStates(
  g: GraphBuilder,
  config: Gpt2Config & LayerLinears,
  { tokens, table, onLayerInput, withPast }: SequenceInputs,
  weight: WeightOf,
  adapt: AdapterHooks,
): Value {
  const { hidden, heads, headDim } = config;
  const linear = adaptedLinears(g, config.linears, weight, adapt);
  let x = g.rows(g.add(g.gather(weight(EMBEDDING), tokens), g.gather(weight(POSITIONS), table("places"))));
  for (let layer = 0; layer < config.layers; layer++) {
    onLayerInput(x);
    const prefix = blockName(layer);
    const fused = linear(`${prefix}.attn.c_attn`, layerNorm(g, x, `${prefix}.ln_1`, config.eps, weight));
    const [q, k, v] = [0, 1, 2].map((part) => g.slice(fused, 1, part * hidden, hidden)) as [Value, Value, Value];
    const mixed = attend(
      g,
      { q, k, v },
      { heads, kvHeads: heads, headDim },
      { mask: table("mask"), withPast },
      config.scale(layer),
    );
    x = adapt.join(prefix, "attention", x, linear(`${prefix}.attn.c_proj`, mixed));

    const inner = linear(`${prefix}.mlp.c_fc`, layerNorm(g, x, `${prefix}.ln_2`, config.eps, weight));
    x = adapt.join(prefix, "feedForward", x, linear(`${prefix}.mlp.c_proj`, config.activation(g, inner)));
  }
  return x;
}
