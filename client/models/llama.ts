/**
 * The Llama family as a graph: RMSNorm, rotary embedding (with Llama 3 scaling), grouped-query attention, gated SiLU feed-forward,
 * tied or untied head. Checked against transformers. It knows nothing of adapters but that a linear may be adapted.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";

export interface LlamaConfig {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  readonly eps: number;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly feedForwardBias: boolean;
  /** [headDim / 2] radians a position, scaling applied. */
  readonly inverseFrequencies: Float64Array;
}

/** Reads config.json of a Llama. @throws {KindredError} `unsupported` or `invalid_model` naming the field */
export function llamaConfig(json: Readonly<Record<string, unknown>>, file = "config.json"): LlamaConfig {
  const fail = (field: string, want: string): never => {
    throw new KindredError("invalid_model", `${file}: ${field} is ${JSON.stringify(json[field])}, should be ${want}`);
  };
  const integer = (field: string, fallback?: number): number => {
    const value = json[field] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > 1e7) {
      return fail(field, "a positive integer");
    }
    return value;
  };
  const flag = (field: string): boolean => {
    const value = json[field] ?? false;
    return typeof value === "boolean" ? value : fail(field, "true or false");
  };
  const activation = json.hidden_act ?? "silu";
  if (activation !== "silu") {
    throw new KindredError(
      "unsupported",
      `${file}: hidden_act ${JSON.stringify(activation)} is not supported, only "silu"`,
    );
  }
  const hidden = integer("hidden_size");
  const heads = integer("num_attention_heads");
  const kvHeads = integer("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) fail("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  if (json.head_dim == null && hidden % heads !== 0)
    fail("hidden_size", `a multiple of num_attention_heads (${heads})`);
  const headDim = integer("head_dim", hidden / heads);
  if (headDim % 2 !== 0) fail("head_dim", "even");
  const eps = json.rms_norm_eps ?? 1e-6;
  if (typeof eps !== "number" || !(eps > 0)) return fail("rms_norm_eps", "a positive number");
  return {
    hidden,
    layers: integer("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    feedForward: integer("intermediate_size"),
    vocabulary: integer("vocab_size"),
    context: integer("max_position_embeddings", 2048),
    eps,
    tied: flag("tie_word_embeddings"),
    attentionBias: flag("attention_bias"),
    feedForwardBias: flag("mlp_bias"),
    inverseFrequencies: inverseFrequencies(json, headDim, file),
  };
}

/** Rotary frequencies; `rope_parameters` is transformers 5's name for `rope_theta` with `rope_scaling`. */
function inverseFrequencies(json: Readonly<Record<string, unknown>>, headDim: number, file: string): Float64Array {
  const scaling = (json.rope_parameters ?? json.rope_scaling ?? {}) as Readonly<Record<string, unknown>>;
  const theta = scaling.rope_theta ?? json.rope_theta ?? 10000;
  if (typeof theta !== "number" || !(theta > 0)) {
    throw new KindredError(
      "invalid_model",
      `${file}: rope_theta is ${JSON.stringify(theta)}, should be a positive number`,
    );
  }
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  const kind = scaling.rope_type ?? scaling.type ?? "default";
  if (kind === "default") return frequencies;
  if (kind !== "llama3" && kind !== "linear") {
    throw new KindredError(
      "unsupported",
      `${file}: rope scaling ${JSON.stringify(kind)} is not supported (default, linear, llama3)`,
    );
  }
  const number = (field: string): number => {
    const value = scaling[field];
    if (typeof value !== "number" || !(value > 0)) {
      throw new KindredError(
        "invalid_model",
        `${file}: rope scaling's ${field} is ${JSON.stringify(value)}, should be a positive number`,
      );
    }
    return value;
  };
  const factor = number("factor");
  if (kind === "linear") return frequencies.map((f) => f / factor);
  // Llama 3.1: long wavelengths are stretched by `factor`, short ones stay, those between are interpolated.
  const low = number("low_freq_factor");
  const high = number("high_freq_factor");
  const original = number("original_max_position_embeddings");
  return frequencies.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength < original / high) return f;
    if (wavelength > original / low) return f / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/** Names and shapes of the weights, [out, in] for linears, as Hugging Face has them. */
export function llamaWeights(config: LlamaConfig): Map<string, readonly number[]> {
  const { hidden, vocabulary } = config;
  const weights = new Map<string, readonly number[]>();
  weights.set("model.embed_tokens.weight", [vocabulary, hidden]);
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    weights.set(`${prefix}.input_layernorm.weight`, [hidden]);
    weights.set(`${prefix}.post_attention_layernorm.weight`, [hidden]);
    for (const { name, module, out, in: width } of linearsOfLayer(config)) {
      weights.set(`${prefix}.${name}.weight`, [out, width]);
      if (hasBias(config, module)) weights.set(`${prefix}.${name}.bias`, [out]);
    }
  }
  weights.set("model.norm.weight", [hidden]);
  if (!config.tied) weights.set("lm_head.weight", [vocabulary, hidden]);
  return weights;
}

export interface LinearShape {
  /** Within the layer: "self_attn.q_proj". */
  readonly name: string;
  /** Its last part: "q_proj". */
  readonly module: string;
  readonly out: number;
  readonly in: number;
}

export const ATTENTION_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj"] as const;
export const FEED_FORWARD_MODULES = ["gate_proj", "up_proj", "down_proj"] as const;

/** The seven linears of every layer. */
export function linearsOfLayer({ heads, kvHeads, headDim, feedForward, hidden }: LlamaConfig): LinearShape[] {
  return [
    { name: "self_attn.q_proj", module: "q_proj", out: heads * headDim, in: hidden },
    { name: "self_attn.k_proj", module: "k_proj", out: kvHeads * headDim, in: hidden },
    { name: "self_attn.v_proj", module: "v_proj", out: kvHeads * headDim, in: hidden },
    { name: "self_attn.o_proj", module: "o_proj", out: hidden, in: heads * headDim },
    { name: "mlp.gate_proj", module: "gate_proj", out: feedForward, in: hidden },
    { name: "mlp.up_proj", module: "up_proj", out: feedForward, in: hidden },
    { name: "mlp.down_proj", module: "down_proj", out: hidden, in: feedForward },
  ];
}

function hasBias(config: LlamaConfig, module: string): boolean {
  return (ATTENTION_MODULES as readonly string[]).includes(module) ? config.attentionBias : config.feedForwardBias;
}

/** Tensors that say where in the sequence a token is; fed with every run. */
export interface Positions {
  /** [T, headDim / 2] */
  readonly cos: Value;
  readonly sin: Value;
  /** [T, T]: 0 where a token may attend, a large negative number elsewhere. */
  readonly mask: Value;
}

/** Gives the output of a linear; an adapter adds its own term to `base()`. @param x [B*T, in] */
export type ApplyLinear = (name: string, x: Value, base: () => Value) => Value;

export interface LlamaInputs extends Positions {
  /** int32 [B, T]; padding on the right needs no mask, for nobody looks right. */
  readonly tokens: Value;
}

/**
 * Hidden states before the final norm.
 * @param weight a weight's value by its Hugging Face name
 * @returns [B*T, hidden]
 */
export function llamaHidden(
  g: GraphBuilder,
  config: LlamaConfig,
  { tokens, cos, sin, mask }: LlamaInputs,
  weight: (name: string) => Value,
  linear: ApplyLinear,
): Value {
  const { heads, kvHeads, headDim } = config;
  const group = heads / kvHeads;
  // [B*T, n] -> [B, T, n], turned by position.
  const rotate = (x: Value): Value => g.rotary(g.reshape(x, ["B", "T", x.shape[1] as number]), cos, sin);
  let x = g.rows(g.gather(weight("model.embed_tokens.weight"), tokens));
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const apply = (name: string, input: Value): Value => {
      const full = `${prefix}.${name}`;
      return linear(full, input, () => {
        const product = g.matmul(input, weight(`${full}.weight`), { transB: true });
        return hasBias(config, name.slice(name.indexOf(".") + 1)) ? g.add(product, weight(`${full}.bias`)) : product;
      });
    };
    const normed = g.rmsNorm(x, weight(`${prefix}.input_layernorm.weight`), config.eps);
    // Queries that share a key head are stacked as rows, so that keys and values are never repeated.
    const split = g.reshape(rotate(apply("self_attn.q_proj", normed)), ["B", "T", kvHeads, group, headDim]);
    const q = g.transpose(split, [0, 2, 3, 1, 4]);
    const heading = (y: Value): Value => g.transpose(g.reshape(y, ["B", "T", kvHeads, headDim]), [0, 2, 1, 3]);
    const k = heading(rotate(apply("self_attn.k_proj", normed)));
    const v = heading(apply("self_attn.v_proj", normed));
    const stacked = ["B", kvHeads, group === 1 ? "T" : `${group}*T`];
    const scores = g.matmul(g.reshape(q, [...stacked, headDim]), k, { transB: true, scale: headDim ** -0.5 });
    const attention = g.softmax(g.add(g.reshape(scores, ["B", kvHeads, group, "T", "T"]), mask));
    const mixed = g.matmul(g.reshape(attention, [...stacked, "T"]), v);
    const merged = g.transpose(g.reshape(mixed, ["B", kvHeads, group, "T", headDim]), [0, 3, 1, 2, 4]);
    x = g.add(x, apply("self_attn.o_proj", g.reshape(merged, ["B*T", heads * headDim])));

    const inner = g.rmsNorm(x, weight(`${prefix}.post_attention_layernorm.weight`), config.eps);
    const gate = g.silu(apply("mlp.gate_proj", inner));
    x = g.add(x, apply("mlp.down_proj", g.mul(gate, apply("mlp.up_proj", inner))));
  }
  return x;
}

/** Logits of some rows of hidden states. @param rows [S, hidden] @returns [S, vocabulary] */
export function llamaLogits(g: GraphBuilder, config: LlamaConfig, rows: Value, weight: (name: string) => Value): Value {
  const normed = g.rmsNorm(rows, weight("model.norm.weight"), config.eps);
  return g.matmul(normed, weight(config.tied ? "model.embed_tokens.weight" : "lm_head.weight"), { transB: true });
}

/** A weight that is far below any logit and yet finite: its softmax is exactly 0 in float32. */
export const MASKED = -1e9;

/** The position tensors of sequences of `length` tokens, on the host. */
export function positionTables(
  config: LlamaConfig,
  length: number,
): { cos: Float32Array; sin: Float32Array; mask: Float32Array } {
  const { inverseFrequencies } = config;
  const half = config.headDim / 2;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  const mask = new Float32Array(length * length);
  for (let t = 0; t < length; t++) {
    for (let i = 0; i < half; i++) {
      const angle = t * (inverseFrequencies[i] as number);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
    mask.fill(MASKED, t * length + t + 1, (t + 1) * length);
  }
  return { cos, sin, mask };
}
