/**
 * GPT-NeoX and Pythia as a graph (Black et al. 2022, Biderman et al. 2023): queries, keys and values from one linear, per head;
 * rotary embedding of the first dimensions of a head; attention and feed-forward in parallel, each after its own LayerNorm, or in
 * sequence. Follows transformers' modeling_gpt_neox.py.
 */
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { AdapterHooks, Architecture, Linear, SequenceInputs, WeightOf } from "./architecture.js";
import { attend, causalMask } from "./attention.js";
import { Fields } from "./fields.js";
import { type Activation, adaptedLinears, type LayerLinears, layerNorm, linearWeights, normWeights } from "./layers.js";
import { applyRotary, readFrequencies, rotaryTables } from "./rotary.js";

interface NeoxConfig {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly eps: number;
  readonly activation: Activation;
  readonly attentionBias: boolean;
  /** Feed-forward in parallel to attention, not after it. */
  readonly parallel: boolean;
}

const blockName = (layer: number): string => `gpt_neox.layers.${layer}`;
const EMBEDDING = "gpt_neox.embed_in.weight";
const HEAD = "embed_out.weight";
/** The head's name in transformers 5, which saves it as HEAD. */
const NEW_HEAD = "lm_head.weight";
const FINAL = "gpt_neox.final_layer_norm";

/** Reads config.json of `model_type` gpt_neox. @throws {KindredError} `unsupported` or `invalid_model` naming the field */
export function gptNeox(json: Readonly<Record<string, unknown>>, file: string): Architecture {
  const fields = new Fields(json, file);
  const hidden = fields.integer("hidden_size");
  const vocabulary = fields.integer("vocab_size");
  const headDim = fields.headDim("hidden_size", "num_attention_heads");
  const config: NeoxConfig = {
    hidden,
    layers: fields.layers("num_hidden_layers"),
    heads: fields.integer("num_attention_heads"),
    headDim,
    feedForward: fields.integer("intermediate_size"),
    eps: fields.positive("layer_norm_eps", 1e-5),
    activation: fields.activation("hidden_act", "gelu"),
    attentionBias: fields.flag("attention_bias", true),
    parallel: fields.flag("use_parallel_residual", true),
  };
  const frequencies = readFrequencies(fields, headDim, {
    theta: "rotary_emb_base",
    share: "rotary_pct",
    defaultShare: 0.25,
  });
  const tied = fields.flag("tie_word_embeddings", false);
  const layers = Array.from({ length: config.layers }, (_, layer) => linearsOfLayer(config, layer));
  const linears = layers.flat();
  return {
    layers: config.layers,
    hidden,
    vocabulary,
    context: fields.integer("max_position_embeddings", 2048),
    weights: new Map([
      [EMBEDDING, [vocabulary, hidden]],
      ...layers.flatMap((own, layer) => [
        ...normWeights([`${blockName(layer)}.input_layernorm`, `${blockName(layer)}.post_attention_layernorm`], hidden),
        ...linearWeights(own),
      ]),
      ...normWeights([FINAL], hidden),
      ...(tied ? [] : [[HEAD, [vocabulary, hidden]] as const]),
    ]),
    ...(tied ? { tied: { embedding: EMBEDDING, head: HEAD } } : {}),
    prefix: "gpt_neox.",
    otherNames: new Map([[HEAD, NEW_HEAD]]),
    linears,
    blocks: layers.map((_, layer) => blockName(layer)),
    attentionModules: ["query_key_value", "dense"],
    positionTables: [...rotaryTables(frequencies), causalMask("mask")],
    hiddenStates: (g, inputs, weight, adapt) => hiddenStates(g, { ...config, linears }, inputs, weight, adapt),
    head: (g, rows, weight) => ({
      states: layerNorm(g, rows, FINAL, config.eps, weight),
      weight: weight(tied ? EMBEDDING : HEAD),
    }),
  };
}

function linearsOfLayer({ hidden, feedForward, attentionBias }: NeoxConfig, layer: number): Linear[] {
  const linear = (name: string, out: number, width: number, bias: boolean): Linear => ({
    name: `${blockName(layer)}.${name}`,
    inputGroup: `${blockName(layer)}.${name}`,
    out,
    in: width,
    bias,
    inputFirst: false,
  });
  return [
    linear("attention.query_key_value", 3 * hidden, hidden, attentionBias),
    linear("attention.dense", hidden, hidden, attentionBias),
    linear("mlp.dense_h_to_4h", feedForward, hidden, true),
    linear("mlp.dense_4h_to_h", hidden, feedForward, true),
  ];
}

function hiddenStates(
  g: GraphBuilder,
  config: NeoxConfig & LayerLinears,
  { tokens, table, onLayerInput, withPast }: SequenceInputs,
  weight: WeightOf,
  adapt: AdapterHooks,
): Value {
  const { hidden, heads, headDim, eps } = config;
  const linear = adaptedLinears(g, config.linears, weight, adapt);
  const rotate = (x: Value): Value => applyRotary(g, x, hidden, table, { headDim });
  let x = g.rows(g.gather(weight(EMBEDDING), tokens));
  for (let layer = 0; layer < config.layers; layer++) {
    onLayerInput(x);
    const prefix = blockName(layer);
    const fused = linear(
      `${prefix}.attention.query_key_value`,
      layerNorm(g, x, `${prefix}.input_layernorm`, eps, weight),
    );
    // Query, key and value of one head are adjacent.
    const byHead = g.reshape(fused, ["B", "T", heads, 3 * headDim]);
    const [q, k, v] = [0, 1, 2].map((part) => g.slice(byHead, 3, part * headDim, headDim)) as [Value, Value, Value];
    const states = { q: rotate(q), k: rotate(k), v };
    const mixed = attend(g, states, { heads, kvHeads: heads, headDim }, { mask: table("mask"), withPast });
    const attended = adapt.join(prefix, "attention", x, linear(`${prefix}.attention.dense`, mixed));

    const normed = layerNorm(g, config.parallel ? x : attended, `${prefix}.post_attention_layernorm`, eps, weight);
    const inner = config.activation(g, linear(`${prefix}.mlp.dense_h_to_4h`, normed));
    x = adapt.join(prefix, "feedForward", attended, linear(`${prefix}.mlp.dense_4h_to_h`, inner));
  }
  return x;
}
