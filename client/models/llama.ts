/**
 * Llama, Mistral and Qwen2 as a graph: RMSNorm, rotary embedding, grouped-query attention, gated feed-forward, tied or untied head.
 * Mistral differs by its sliding window, Qwen2 by biases of q, k and v and by a window in its upper layers. Follows transformers'
 * modeling_llama.py, modeling_mistral.py and modeling_qwen2.py.
 */
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { AdapterHooks, Architecture, Linear, PositionTable, SequenceInputs, WeightOf } from "./architecture.js";
import { attend, causalMask, type HeadSizes } from "./attention.js";
import { Fields } from "./fields.js";
import {
  type Activation,
  adaptedLinears,
  type LayerLinears,
  linearWeights,
  type NamedShape,
  sharedInput,
} from "./layers.js";
import { applyRotary, readFrequencies, rotaryTables } from "./rotary.js";

interface LlamaConfig extends HeadSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly eps: number;
  readonly activation: Activation;
  readonly tied: boolean;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly feedForwardBias: boolean;
  /** [headDim / 2] radians per position. */
  readonly frequencies: Float64Array;
  /** Tokens that a token may attend to in the layers with a window. */
  readonly window: number | undefined;
  readonly windowed: (layer: number) => boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** The differences between the three families: defaults, biases, windows. */
interface Variant {
  readonly kvHeads?: number;
  readonly context: number;
  readonly biases: (fields: Fields) => Pick<LlamaConfig, "qkvBias" | "outputBias" | "feedForwardBias">;
  readonly windows?: (fields: Fields) => Pick<LlamaConfig, "window" | "windowed">;
}

const NO_WINDOW = { window: undefined, windowed: () => false };

/** Reads config.json of `model_type` llama. @throws {KindredError} `unsupported` or `invalid_model` naming the field */
export function llama(json: Json, file: string): Architecture {
  return build(
    readConfig(new Fields(json, file), {
      context: 2048,
      biases: (fields) => {
        const attention = fields.flag("attention_bias", false);
        return {
          qkvBias: attention,
          outputBias: attention,
          feedForwardBias: fields.flag("mlp_bias", false),
        };
      },
    }),
  );
}

/** As `llama`, for `model_type` mistral. */
export function mistral(json: Json, file: string): Architecture {
  return build(
    readConfig(new Fields(json, file), {
      kvHeads: 8,
      context: 131_072,
      biases: () => ({ qkvBias: false, outputBias: false, feedForwardBias: false }),
      windows: (fields) => {
        if (fields.json.layer_types != null)
          fields.unsupported("layer_types", fields.json.layer_types, "none for Mistral");
        // Null means that there is no window; an absent field means 4096.
        if (fields.json.sliding_window === null) return NO_WINDOW;
        return { window: fields.integer("sliding_window", 4096), windowed: () => true };
      },
    }),
  );
}

/** As `llama`, for `model_type` qwen2 (Qwen2 and Qwen2.5). */
export function qwen2(json: Json, file: string): Architecture {
  return build(
    readConfig(new Fields(json, file), {
      kvHeads: 32,
      context: 32_768,
      biases: () => ({ qkvBias: true, outputBias: false, feedForwardBias: false }),
      windows: (fields) => {
        if (!fields.flag("use_sliding_window", false) || fields.json.sliding_window === null) return NO_WINDOW;
        const window = fields.integer("sliding_window", 4096);
        const types = fields.json.layer_types;
        if (types == null) {
          const first = fields.json.max_window_layers === 0 ? 0 : fields.integer("max_window_layers", 28);
          return { window, windowed: (layer) => layer >= first };
        }
        const known = ["full_attention", "sliding_attention"];
        if (
          !Array.isArray(types) ||
          types.length !== fields.layers("num_hidden_layers") ||
          types.some((type) => !known.includes(type))
        ) {
          return fields.wrong("layer_types", `a list of ${known.join(" or ")}, one per layer`);
        }
        return { window, windowed: (layer) => types[layer] === "sliding_attention" };
      },
    }),
  );
}

function readConfig(fields: Fields, variant: Variant): LlamaConfig {
  const heads = fields.integer("num_attention_heads");
  const kvHeads = fields.integer("num_key_value_heads", variant.kvHeads ?? heads);
  if (heads % kvHeads !== 0) fields.wrong("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  const headDim =
    fields.json.head_dim == null ? fields.headDim("hidden_size", "num_attention_heads") : fields.integer("head_dim");
  if (headDim % 2 !== 0) fields.wrong("head_dim", "even");
  const frequencies = readFrequencies(fields, headDim, {
    theta: "rope_theta",
    share: "partial_rotary_factor",
    defaultShare: 1,
  });
  if (frequencies.length * 2 !== headDim) {
    fields.unsupported("partial_rotary_factor", (frequencies.length * 2) / headDim, "1 in this family");
  }
  return {
    hidden: fields.integer("hidden_size"),
    layers: fields.layers("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    feedForward: fields.integer("intermediate_size"),
    vocabulary: fields.integer("vocab_size"),
    context: fields.integer("max_position_embeddings", variant.context),
    eps: fields.positive("rms_norm_eps", 1e-6),
    activation: fields.activation("hidden_act", "silu"),
    tied: fields.flag("tie_word_embeddings", false),
    frequencies,
    ...variant.biases(fields),
    ...(variant.windows?.(fields) ?? NO_WINDOW),
  };
}

const blockName = (layer: number): string => `model.layers.${layer}`;
const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

function build(config: LlamaConfig): Architecture {
  const layers = Array.from({ length: config.layers }, (_, layer) => linearsOfLayer(config, layer));
  const linears = layers.flat();
  return {
    layers: config.layers,
    hidden: config.hidden,
    vocabulary: config.vocabulary,
    context: config.context,
    weights: weightsOf(config, layers),
    ...(config.tied ? { tied: { embedding: EMBEDDING, head: HEAD } } : {}),
    prefix: "model.",
    linears,
    blocks: layers.map((_, layer) => blockName(layer)),
    attentionModules: ["q_proj", "k_proj", "v_proj", "o_proj"],
    positionTables: [...rotaryTables(config.frequencies), ...masksOf(config)],
    hiddenStates: (g, inputs, weight, adapt) => hiddenStates(g, { ...config, linears }, inputs, weight, adapt),
    head: (g, rows, weight) => ({
      states: g.rmsNorm(rows, weight("model.norm.weight"), config.eps),
      weight: weight(config.tied ? EMBEDDING : HEAD),
    }),
  };
}

function linearsOfLayer(config: LlamaConfig, layer: number): Linear[] {
  const { heads, kvHeads, headDim, feedForward, hidden, qkvBias, outputBias, feedForwardBias } = config;
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
      linear("self_attn.q_proj", heads * headDim, hidden, qkvBias),
      linear("self_attn.k_proj", kvHeads * headDim, hidden, qkvBias),
      linear("self_attn.v_proj", kvHeads * headDim, hidden, qkvBias),
    ),
    linear("self_attn.o_proj", hidden, heads * headDim, outputBias),
    ...sharedInput(
      linear("mlp.gate_proj", feedForward, hidden, feedForwardBias),
      linear("mlp.up_proj", feedForward, hidden, feedForwardBias),
    ),
    linear("mlp.down_proj", hidden, feedForward, feedForwardBias),
  ];
}

function weightsOf(config: LlamaConfig, layers: readonly (readonly Linear[])[]): Map<string, readonly number[]> {
  const { hidden, vocabulary, tied } = config;
  return new Map([
    [EMBEDDING, [vocabulary, hidden]],
    ...layers.flatMap((linears, layer): NamedShape[] => [
      [`${blockName(layer)}.input_layernorm.weight`, [hidden]],
      [`${blockName(layer)}.post_attention_layernorm.weight`, [hidden]],
      ...linearWeights(linears),
    ]),
    ["model.norm.weight", [hidden]],
    ...(tied ? [] : [[HEAD, [vocabulary, hidden]] as const]),
  ]);
}

const maskName = (config: LlamaConfig, layer: number): string => (config.windowed(layer) ? "window" : "mask");

/** Only the masks that some layer uses: a graph has no unused input. */
function masksOf(config: LlamaConfig): PositionTable[] {
  const names = new Set(Array.from({ length: config.layers }, (_, layer) => maskName(config, layer)));
  return [causalMask("mask"), causalMask("window", config.window)].filter(({ name }) => names.has(name));
}

function hiddenStates(
  g: GraphBuilder,
  config: LlamaConfig & LayerLinears,
  { tokens, table, onLayerInput, withPast }: SequenceInputs,
  weight: WeightOf,
  adapt: AdapterHooks,
): Value {
  const linear = adaptedLinears(g, config.linears, weight, adapt);
  const rotate = (x: Value): Value => applyRotary(g, x, x.shape[1] as number, table);
  let x = g.rows(g.gather(weight(EMBEDDING), tokens));
  for (let layer = 0; layer < config.layers; layer++) {
    onLayerInput(x);
    const prefix = blockName(layer);
    const normed = g.rmsNorm(x, weight(`${prefix}.input_layernorm.weight`), config.eps);
    const q = rotate(linear(`${prefix}.self_attn.q_proj`, normed));
    const k = rotate(linear(`${prefix}.self_attn.k_proj`, normed));
    const v = linear(`${prefix}.self_attn.v_proj`, normed);
    const mixed = attend(g, { q, k, v }, config, { mask: table(maskName(config, layer)), withPast });
    x = adapt.join(prefix, "attention", x, linear(`${prefix}.self_attn.o_proj`, mixed));

    const inner = g.rmsNorm(x, weight(`${prefix}.post_attention_layernorm.weight`), config.eps);
    const gate = config.activation(g, linear(`${prefix}.mlp.gate_proj`, inner));
    const fed = linear(`${prefix}.mlp.down_proj`, g.mul(gate, linear(`${prefix}.mlp.up_proj`, inner)));
    x = adapt.join(prefix, "feedForward", x, fed);
  }
  return x;
}
