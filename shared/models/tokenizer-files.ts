/**
 * The files by which transformers opens a model's tokenizer with the ids that Kindred has: a tokenizer.json with what the folder's other
 * files add to it, and a configuration whose class takes tokenizer.json literally. Other classes rewrite parts of it, by the version of
 * transformers.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chatTemplateFiles } from "./chat-template-files.js";
import type { ModelFolder } from "./files.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";
import { readTokenizerConfig, type SpecialTokens, specialTokensOf } from "./special-tokens.js";
import { readTokenizerJson } from "./tokenizer-json.js";

/** A class of all versions of transformers. */
const CLASS = "PreTrainedTokenizerFast";

/** Fields of a tokenizer_config.json that do not change the ids of a text. */
const KEPT = [
  "additional_special_tokens",
  "chat_template",
  "clean_up_tokenization_spaces",
  "extra_special_tokens",
  "model_input_names",
  "model_max_length",
  "padding_side",
  "truncation_side",
] as const;

type Fields = Readonly<Record<string, unknown>>;

/** Path in a folder -> content. @throws {KindredError} `invalid_model` where the model's own files are missing or damaged */
export async function tokenizerFiles({ path, gguf }: ModelFolder): Promise<Map<string, Uint8Array>> {
  if (gguf !== undefined) {
    const { json, config } = ggufTokenizer(gguf.file);
    return filesOf(json, configOf(config, specialTokensOf(config, path)));
  }
  const config = await readTokenizerConfig(path);
  const { json } = await readTokenizerJson(path, config);
  const files = filesOf(json, configOf(config.fields, config.specialTokens));
  for (const [, name] of await chatTemplateFiles(path)) files.set(name, await readFile(join(path, name)));
  return files;
}

function filesOf(json: Fields, config: Fields): Map<string, Uint8Array> {
  return new Map([
    ["tokenizer.json", Buffer.from(JSON.stringify(json))],
    ["tokenizer_config.json", Buffer.from(`${JSON.stringify(config, null, 2)}\n`)],
  ]);
}

function configOf(fields: Fields, specialTokens: SpecialTokens): Fields {
  const kept = KEPT.filter((field) => fields[field] !== undefined).map((field) => [field, fields[field]] as const);
  return { tokenizer_class: CLASS, ...Object.fromEntries(kept), ...specialTokens };
}
