/** The one table of what is supported: `model_type` of a config.json -> the family that reads it. */
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import type { Architecture } from "./architecture.js";
import { gpt2 } from "./gpt2.js";
import { gptj } from "./gptj.js";
import { llama, mistral, qwen2 } from "./llama.js";
import { gptNeox } from "./neox.js";

const FAMILIES: Readonly<Record<string, (json: Readonly<Record<string, unknown>>, file: string) => Architecture>> = {
  gpt2,
  gpt_neox: gptNeox,
  gptj,
  llama,
  mistral,
  qwen2,
};

/** Each `model_type` that can be read. */
export const SUPPORTED: readonly string[] = Object.keys(FAMILIES);

/** @throws {KindredError} `unsupported` or `invalid_model`, naming file and field */
export function readArchitecture(json: Readonly<Record<string, unknown>>, file = "config.json"): Architecture {
  const type = json.model_type;
  if (typeof type !== "string" || !Object.hasOwn(FAMILIES, type)) {
    throw new KindredError(
      "unsupported",
      `${file}: model_type ${brief(type)} is not supported (supported: ${SUPPORTED.join(", ")})`,
      { file },
    );
  }
  return FAMILIES[type]!(json, file);
}
