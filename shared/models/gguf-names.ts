/**
 * Converts a GGUF's metadata and tensor names to Hugging Face's: the fields of config.json, the names of weights, and the weights whose
 * rows have another order. It reads no tensor and knows no graph.
 *
 * GGUF's converter reorders the rows of a Llama's query and key projections for rotary embeddings of adjacent pairs
 * (convert_hf_to_gguf.py, `permute`). `interleaved` is the number of heads, with which a reader reverses this.
 */
import { KindredError } from "../base/errors.js";
import { brief } from "../base/json.js";
import type { GgufFile, GgufValue } from "./gguf.js";

export interface GgufWeight {
  /** The weight's name in the file. */
  readonly name: string;
  /** Number of heads whose rows are interleaved; absent where rows have Hugging Face's order. */
  readonly interleaved?: number;
}

export interface GgufModel {
  /** The fields of config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** By Hugging Face's names. */
  readonly weights: ReadonlyMap<string, GgufWeight>;
}

const MODEL_TENSORS: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

const LAYER_TENSORS: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Divisors of the rotary frequencies, from Llama 3's scaling. */
export const ROPE_FACTORS = "rope_freqs.weight";

/** Hugging Face's name of a tensor; undefined for a tensor that a Llama does not have. */
function nameOf(tensor: string): string | undefined {
  const [, layer, part, kind] = /^(?:blk\.(\d{1,6})\.)?(\w+)\.(weight|bias)$/.exec(tensor) ?? [];
  const names = layer === undefined ? MODEL_TENSORS : LAYER_TENSORS;
  if (part === undefined || !Object.hasOwn(names, part)) return undefined;
  return `${layer === undefined ? "" : `model.layers.${layer}.`}${names[part]}.${kind}`;
}

/** Fields of a Llama that are read here, or that change nothing. */
const FIELDS: ReadonlySet<string> = new Set([
  "attention.causal", // read in refuseOtherFields
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.layer_norm_epsilon", // of norms that a Llama does not have
  "attention.layer_norm_rms_epsilon",
  "attention.value_length", // the tensors' shapes have it
  "block_count",
  "context_length",
  "embedding_length",
  "feed_forward_length",
  "rope.dimension_count",
  "rope.freq_base",
  "rope.scale_linear",
  "rope.scaling.factor",
  "rope.scaling.finetuned", // provenance
  "rope.scaling.original_context_length", // of scalings that are refused
  "rope.scaling.type",
  "tensor_data_layout", // "Meta AI original pth" is the only one
  "vocab_size",
]);

/** Refuses fields that may change the result and are not read: scales of logits, soft caps, experts, windows. */
function refuseOtherFields(metadata: GgufFile["metadata"], unsupported: (what: string) => never): void {
  for (const [key, value] of metadata) {
    if (!key.startsWith("llama.") || FIELDS.has(key.slice("llama.".length)) || !value) continue;
    unsupported(`metadata ${key} is ${brief(value)}; it may change the result and is not supported`);
  }
  if (metadata.get("llama.attention.causal") === false) unsupported("metadata llama.attention.causal is false");
}

/** The field rope_scaling: llama.cpp divides positions by a factor unless the type says otherwise; the factor had another name. */
function ropeScaling(
  metadata: GgufFile["metadata"],
  optional: (key: string) => number | undefined,
  unsupported: (what: string) => never,
  factors: Float32Array | undefined,
): Record<string, unknown> | undefined {
  const type = metadata.get("llama.rope.scaling.type") ?? "linear";
  const given = optional("llama.rope.scaling.factor") ?? optional("llama.rope.scale_linear");
  const factor = type === "none" ? 1 : given || 1;
  const scales = type !== "none" && (type !== "linear" || factor !== 1);
  if (factors === undefined) return scales ? { rope_type: type, factor } : undefined;
  if (scales)
    unsupported(`scales its rotary embedding by ${ROPE_FACTORS} and by llama.rope.scaling (${brief(type)}) too`);
  return { rope_type: "factors", factors: [...factors] };
}

/**
 * The configuration and the weights of a GGUF file.
 * @param ropeFactors values of `ROPE_FACTORS`, where the file has them
 * @throws {KindredError} `unsupported` for an architecture or a tensor other than a Llama's; `invalid_model` for a field that
 *   is missing or has another type
 */
export function ggufModel(file: GgufFile, ropeFactors: Float32Array | undefined): GgufModel {
  const { path, metadata, tensors } = file;
  const unsupported = (what: string): never => {
    throw new KindredError("unsupported", `${path}: ${what}`, { file: path });
  };
  const architecture = metadata.get("general.architecture");
  if (architecture !== "llama") {
    unsupported(`general.architecture ${JSON.stringify(architecture)} is not supported (supported: llama)`);
  }
  if (typeof metadata.get("split.count") === "number" && metadata.get("split.count") !== 1) {
    unsupported("is a part of a split model; join the parts with llama-gguf-split --merge");
  }
  const optional = (key: string): number | undefined => {
    const value: GgufValue | undefined = metadata.get(key);
    if (value === undefined || typeof value === "number") return value;
    throw new KindredError("invalid_model", `${path}: metadata ${key} is not a number`, { file: path });
  };
  const number = (key: string): number => {
    const value = optional(key);
    if (value !== undefined) return value;
    throw new KindredError("invalid_model", `${path}: metadata ${key} is missing`, { file: path });
  };
  const heads = number("llama.attention.head_count");
  const kvHeads = optional("llama.attention.head_count_kv") ?? heads;
  const hidden = number("llama.embedding_length");
  const headDim = optional("llama.attention.key_length") ?? hidden / heads;
  const rotaryDims = optional("llama.rope.dimension_count") ?? headDim;
  if (rotaryDims !== headDim)
    unsupported(`llama.rope.dimension_count ${rotaryDims} is not the width of a head (${headDim})`);
  const scaling = ropeScaling(metadata, optional, unsupported, ropeFactors);

  const weights = new Map<string, GgufWeight>();
  for (const name of tensors.keys()) {
    if (name === ROPE_FACTORS) continue;
    const known =
      nameOf(name) ?? unsupported(`has the tensor ${JSON.stringify(name.slice(0, 200))}, which a Llama does not have`);
    const projection = /\.(q|k)_proj\./.exec(known)?.[1];
    weights.set(
      known,
      projection === undefined ? { name } : { name, interleaved: projection === "q" ? heads : kvHeads },
    );
  }
  const config = {
    model_type: "llama",
    hidden_size: hidden,
    intermediate_size: number("llama.feed_forward_length"),
    num_hidden_layers: number("llama.block_count"),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    // From the embedding, where the metadata has no such field.
    vocab_size: optional("llama.vocab_size") ?? tensors.get("token_embd.weight")?.shape[0],
    max_position_embeddings: number("llama.context_length"),
    rms_norm_eps: number("llama.attention.layer_norm_rms_epsilon"),
    rope_theta: optional("llama.rope.freq_base") ?? 10000,
    ...(scaling === undefined ? {} : { rope_scaling: scaling }),
    tie_word_embeddings: !tensors.has("output.weight"),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    mlp_bias: tensors.has("blk.0.ffn_gate.bias"),
  };
  refuseOtherFields(metadata, unsupported);
  return { config, weights };
}

/**
 * The rows of a matrix in Hugging Face's order: row 2i + h of each head becomes row h * (rows per head / 2) + i.
 * @param count number of rows, a multiple of 2 * heads; each has `values.length / count` elements
 */
export function deinterleaved<T extends Float32Array | Uint8Array>(values: T, count: number, heads: number): T {
  const width = values.length / count;
  const half = count / heads / 2;
  const out = values.slice() as T;
  for (let row = 0; row < count; row++) {
    const head = Math.floor(row / (2 * half));
    const within = row % (2 * half);
    const from = head * 2 * half + 2 * (within % half) + Math.floor(within / half);
    out.set(values.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}
