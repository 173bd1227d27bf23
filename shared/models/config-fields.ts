/** The fields of a config.json that change results, and where those of a rotary embedding stand. It knows no architecture. */
import { isObject } from "../base/json.js";

/**
 * Fields of config.json without influence on logits at inference: provenance, storage, switches of the library, and settings of
 * pretraining. All other fields are part of the hash, unknown ones too: they may change results.
 */
const WITHOUT_INFLUENCE: ReadonlySet<string> = new Set([
  "_attn_implementation",
  "_attn_implementation_autoset",
  "_name_or_path",
  "architectures",
  "attention_dropout",
  "auto_map",
  "bos_token_id",
  "dtype",
  "eos_token_id",
  "id2label",
  "initializer_range",
  "is_llama_config",
  "label2id",
  "output_attentions",
  "output_hidden_states",
  "pad_token_id",
  "pretraining_tp",
  "return_dict",
  "rope_interleaved",
  "torch_dtype",
  "torchscript",
  "transformers.js_config",
  "transformers_version",
  "unk_token_id",
  "use_cache",
]);

/**
 * The field that holds the scaling of a rotary embedding, and what else of it stands there. Where a configuration has both fields,
 * rope_scaling counts, and the other is as if it were not there; within the one that counts, rope_theta and partial_rotary_factor
 * count before those of the configuration. Both as in transformers 5 (`convert_rope_params_to_dict` in modeling_rope_utils.py).
 */
export function rotaryField(config: Readonly<Record<string, unknown>>): "rope_scaling" | "rope_parameters" {
  const { rope_scaling: scaling, rope_parameters: parameters } = config;
  const empty = scaling == null || (isObject(scaling) && Object.keys(scaling).length === 0);
  return empty && parameters != null ? "rope_parameters" : "rope_scaling";
}

/**
 * The fields that change results, in one spelling: null becomes absent, and transformers 5's rope_parameters and GPT-NeoX's names become
 * the rope_theta, partial_rotary_factor and rope_scaling of earlier versions.
 */
export function influentialConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields: Record<string, unknown> = { ...config };
  const given = config[rotaryField(config)];
  if (isObject(given)) {
    const { rope_theta, partial_rotary_factor, ...scaling } = given;
    fields.rope_theta = rope_theta ?? fields.rope_theta;
    fields.partial_rotary_factor = partial_rotary_factor ?? fields.partial_rotary_factor;
    fields.rope_scaling = scaling;
    delete fields.rope_parameters;
  }
  const { rotary_emb_base, rotary_pct } = fields;
  delete fields.rotary_emb_base;
  delete fields.rotary_pct;
  fields.rope_theta ??= rotary_emb_base;
  fields.partial_rotary_factor ??= rotary_pct;
  if (isObject(fields.rope_scaling)) {
    const { type, ...scaling } = fields.rope_scaling;
    const kind = scaling.rope_type ?? type ?? "default";
    fields.rope_scaling = kind === "default" ? null : { ...scaling, rope_type: kind };
  }
  return Object.fromEntries(
    Object.entries(fields).filter(
      // A Mistral without the field has a window; null means no window.
      ([key, value]) => (value != null || key === "sliding_window") && !WITHOUT_INFLUENCE.has(key),
    ),
  );
}
