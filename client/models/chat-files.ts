/**
 * Where a model's chat templates stand, as transformers finds them: chat_template.jinja and additional_chat_templates/NAME.jinja, else
 * chat_template of tokenizer_config.json, which is a text or a list of named ones. It knows no Jinja.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import { brief, isObject, reasonOf } from "../../shared/base/json.js";
import { chatTemplateFiles, DEFAULT_TEMPLATE } from "../../shared/models/chat-template-files.js";
import { readTokenizerConfig, type TokenizerConfig } from "../../shared/models/special-tokens.js";

/** A template's text, and the file that it is from. */
export interface TemplateSource {
  readonly text: string;
  readonly path: string;
}

/** Templates by name. A single one is `default`. */
export type TemplateSources = ReadonlyMap<string, TemplateSource>;

/** The longest known templates are under 30 KB. */
const MAX_TEMPLATE_BYTES = 1_000_000;

async function readTemplate(path: string): Promise<TemplateSource> {
  try {
    const { size } = await stat(path);
    if (size <= MAX_TEMPLATE_BYTES) return { text: await readFile(path, "utf8"), path };
    throw new KindredError("invalid_model", `${path}: ${size} bytes; at most ${MAX_TEMPLATE_BYTES} are read`);
  } catch (error) {
    if (error instanceof KindredError) throw error;
    throw new KindredError("invalid_model", `${path}: cannot be read (${reasonOf(error)})`, { file: path }, error);
  }
}

/**
 * The templates of a field `chat_template`. Empty where it names none.
 * @param path of the file, for messages
 * @throws {KindredError} `invalid_model` naming the field where it is neither a text nor named texts
 */
export function templatesIn(value: unknown, path: string): TemplateSources {
  if (value === undefined || value === null) return new Map();
  if (typeof value === "string") return new Map([[DEFAULT_TEMPLATE, { text: value, path }]]);
  const entries = Array.isArray(value)
    ? value.map((entry): [unknown, unknown] => (isObject(entry) ? [entry.name, entry.template] : [undefined, entry]))
    : isObject(value)
      ? Object.entries(value)
      : [[undefined, value]];
  return new Map(
    entries.map(([name, text]) => {
      if (typeof name === "string" && typeof text === "string") return [name, { text, path }];
      throw new KindredError(
        "invalid_model",
        `${path}: chat_template holds ${brief(text)}; expected a text, or a list of {"name", "template"}`,
        { file: path },
      );
    }),
  );
}

/**
 * The chat templates of a model's folder.
 * @param known the folder's configuration of the tokenizer, where it was read already
 * @throws {KindredError} `invalid_model` where a file cannot be read or the field is no template
 */
export async function readChatTemplates(folder: string, known?: TokenizerConfig): Promise<TemplateSources> {
  const named = await chatTemplateFiles(folder);
  if (named.length > 0) {
    return new Map(
      await Promise.all(
        named.map(
          async ([name, path]): Promise<[string, TemplateSource]> => [name, await readTemplate(join(folder, path))],
        ),
      ),
    );
  }
  const config = known ?? (await readTokenizerConfig(folder));
  return templatesIn(config.fields.chat_template, config.path);
}
