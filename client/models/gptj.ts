/**
 * GPT-J as a graph (Wang and Komatsuzaki 2021): attention and feed-forward in parallel after one LayerNorm, rotary embedding of
 * adjacent pairs in the first dimensions of a head, an output head with a bias. Follows transformers' modeling_gptj.py.
 */
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { AdapterHooks, Architecture, Linear, SequenceInputs, WeightOf } from "./architecture.js";
import { attend, causalMask } from "./attention.js";
import { Fields } from "./fields.js";
import {
  type Activation,
  adaptedLinears,
  type LayerLinears,
  layerNorm,
  linearWeights,
  normWeights,
  sharedInput,
} from "./layers.js";
import { applyRotary, frequencies, rotaryTables } from "./rotary.js";

interface GptjConfig {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly eps: number;
  readonly activation: Activation;
}

const blockName = (layer: number): string => `transformer.h.${layer}`;
const EMBEDDING = "transformer.wte.weight";
const HEAD = "lm_head";
const FINAL = "transformer.ln_f";
/** Base of the rotary frequencies, the same for all models of this family. */
const THETA = 10_000;

/** Reads config.json of `model_type` gptj. @throws {KindredError} `unsupported` or `invalid_model` naming the field */
export function gptj(json: Readonly<Record<string, unknown>>, file: string): Architecture {
  const fields = new Fields(json, file);
  const headDim = fields.headDim("n_embd", "n_head");
  const hidden = fields.integer("n_embd");
  const vocabulary = fields.integer("vocab_size");
  // Null would mean a rotary table as wide as the hidden size, which transformers cannot apply to a head.
  const rotaryDim = json.rotary_dim === null ? 0 : fields.integer("rotary_dim", 64);
  if (rotaryDim < 2 || rotaryDim > headDim || rotaryDim % 2 !== 0) {
    fields.wrong("rotary_dim", `even, from 2 to the ${headDim} dimensions of a head`);
  }
  const config: GptjConfig = {
    hidden,
    layers: fields.layers("n_layer"),
    heads: fields.integer("n_head"),
    headDim,
    feedForward: fields.integer("n_inner", 4 * hidden),
    eps: fields.positive("layer_norm_epsilon", 1e-5),
    activation: fields.activation("activation_function", "gelu_new"),
  };
  const tied = fields.flag("tie_word_embeddings", false);
  const headWeight = tied ? EMBEDDING : `${HEAD}.weight`;
  const layers = Array.from({ length: config.layers }, (_, layer) => linearsOfLayer(config, layer));
  const linears = layers.flat();
  return {
    layers: config.layers,
    hidden,
    vocabulary,
    context: fields.integer("n_positions", 2048),
    weights: new Map([
      [EMBEDDING, [vocabulary, hidden]],
      ...layers.flatMap((own, layer) => [...normWeights([`${blockName(layer)}.ln_1`], hidden), ...linearWeights(own)]),
      ...normWeights([FINAL], hidden),
      [headWeight, [vocabulary, hidden]],
      [`${HEAD}.bias`, [vocabulary]],
    ]),
    ...(tied ? { tied: { embedding: EMBEDDING, head: `${HEAD}.weight` } } : {}),
    prefix: "transformer.",
    linears,
    blocks: layers.map((_, layer) => blockName(layer)),
    attentionModules: ["q_proj", "k_proj", "v_proj", "out_proj"],
    positionTables: [...rotaryTables(frequencies(THETA, rotaryDim)), causalMask("mask")],
    hiddenStates: (g, inputs, weight, adapt) => hiddenStates(g, { ...config, linears }, inputs, weight, adapt),
    head: (g, rows, weight) => ({
      states: layerNorm(g, rows, FINAL, config.eps, weight),
      weight: weight(headWeight),
      bias: weight(`${HEAD}.bias`),
    }),
  };
}

function linearsOfLayer({ hidden, feedForward }: GptjConfig, layer: number): Linear[] {
  const linear = (name: string, out: number, width: number, bias: boolean): Linear => ({
    name: `${blockName(layer)}.${name}`,
    inputGroup: `${blockName(layer)}.${name}`,
    out,
    in: width,
    bias,
    inputFirst: false,
  });
  return [
    ...sharedInput(
      linear("attn.k_proj", hidden, hidden, false),
      linear("attn.v_proj", hidden, hidden, false),
      linear("attn.q_proj", hidden, hidden, false),
    ),
    linear("attn.out_proj", hidden, hidden, false),
    linear("mlp.fc_in", feedForward, hidden, true),
    linear("mlp.fc_out", hidden, feedForward, true),
  ];
}

function hiddenStates(
  g: GraphBuilder,
  { hidden, layers, heads, headDim, eps, activation, linears }: GptjConfig & LayerLinears,
  { tokens, table, onLayerInput, withPast }: SequenceInputs,
  weight: WeightOf,
  adapt: AdapterHooks,
): Value {
  const linear = adaptedLinears(g, linears, weight, adapt);
  const rotate = (x: Value): Value => applyRotary(g, x, hidden, table, { headDim, interleaved: true });
  let x = g.rows(g.gather(weight(EMBEDDING), tokens));
  for (let layer = 0; layer < layers; layer++) {
    onLayerInput(x);
    const prefix = blockName(layer);
    const normed = layerNorm(g, x, `${prefix}.ln_1`, eps, weight);
    const q = rotate(linear(`${prefix}.attn.q_proj`, normed));
    const k = rotate(linear(`${prefix}.attn.k_proj`, normed));
    const v = linear(`${prefix}.attn.v_proj`, normed);
    const mixed = attend(g, { q, k, v }, { heads, kvHeads: heads, headDim }, { mask: table("mask"), withPast });
    const attended = linear(`${prefix}.attn.out_proj`, mixed);
    const fed = linear(`${prefix}.mlp.fc_out`, activation(g, linear(`${prefix}.mlp.fc_in`, normed)));
    x = adapt.join(prefix, "feedForward", adapt.join(prefix, "attention", x, attended), fed);
  }
  return x;
}
