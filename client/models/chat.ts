/**
 * A model's chat template, rendered as transformers renders it (chat_template.jinja, else chat_template of tokenizer_config.json). It
 * knows no tokens: client/data decides which turns are scored.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import { canonicalJson, isObject, reasonOf } from "../../shared/base/json.js";
import { readTokenizerConfig, type SpecialTokens, type TokenizerConfig } from "../../shared/models/special-tokens.js";
import type { ChatMessage, RenderChat } from "../data/types.js";
import { globalsAt } from "../jinja/globals.js";
import { dictOf } from "../jinja/json.js";
import { Template } from "../jinja/template.js";
import { isList, ListOfParts, WatchedDict } from "../jinja/values.js";

/** Renders conversations. `hash` is the SHA-256 (hex) of what decides how. */
export type ChatTemplate = RenderChat & { readonly hash: string };

/** The longest known templates are under 30 KB. */
const MAX_TEMPLATE_BYTES = 1_000_000;

/** The field chat_template is a text, or a list of named texts of which "default" is for plain conversations. */
function templateIn(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.find((entry) => isObject(entry) && entry.name === "default");
  return isObject(named) && typeof named.template === "string" ? named.template : undefined;
}

async function templateFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size <= MAX_TEMPLATE_BYTES) return await readFile(path, "utf8");
    throw new KindredError("invalid_model", `${path}: ${size} bytes; at most ${MAX_TEMPLATE_BYTES} are read`);
  } catch (error) {
    if (error instanceof KindredError) throw error;
    throw new KindredError("invalid_model", `${path}: cannot be read (${reasonOf(error)})`, { file: path }, error);
  }
}

/**
 * The chat template of a model's folder, or undefined where the model has none.
 * @param known the folder's configuration of the tokenizer, where it was read already
 * @returns a function that throws `invalid_data` where the template refuses the messages (roles out of order, for example)
 * @throws {KindredError} `invalid_model` where the template cannot be parsed
 */
export async function loadChatTemplate(folder: string, known?: TokenizerConfig): Promise<ChatTemplate | undefined> {
  const names = await readdir(folder).catch((): string[] => []);
  const config = known ?? (await readTokenizerConfig(folder));
  const inFile = names.includes("chat_template.jinja");
  const path = inFile ? join(folder, "chat_template.jinja") : config.path;
  const text = inFile ? await templateFile(path) : templateIn(config.fields.chat_template);
  return text === undefined ? undefined : chatTemplateOf(text, config.specialTokens, path);
}

/** Names under which a message's reasoning is given, the standard one first. */
const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

/** One process writes one date, so that a conversation's texts agree. */
const STARTED = new Date();

/** Names that a row cannot give to a template, because they are the template's own. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  "messages",
  "add_generation_prompt",
  ...globalsAt(STARTED).keys(),
] as string[]);

/** A message as a template gets it: its reasoning stands under the names that templates read, as in transformers. */
function turnOf(message: ChatMessage, at: number): WatchedDict {
  const reasoning = REASONING.map((name) => message[name]).find((value) => value !== undefined && value !== null);
  const fields = reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
  const turn = dictOf(Object.entries(fields));
  const content = turn.get("content");
  if (content !== undefined && isList(content)) turn.set("content", ListOfParts.at(`messages[${at}].content`, content));
  return new WatchedDict(turn);
}

/** Whether the template read a message's field. A reasoning was read under any of its names. */
function wasRead(turn: WatchedDict | undefined, field: string): boolean {
  const names = REASONING.some((name) => name === field) ? REASONING : [field];
  return names.some((name) => turn?.wasRead(name) ?? false);
}

/**
 * A chat template from its text.
 * @param tokens special tokens, which it may write. @param path for messages
 * @throws {KindredError} `invalid_model` naming the line where the template cannot be read, or has something that is not supported
 */
export function chatTemplateOf(text: string, tokens: SpecialTokens, path: string): ChatTemplate {
  let template: Template;
  try {
    template = new Template(text);
  } catch (error) {
    const message = `${path}: the chat template cannot be read (${(error as Error).message})`;
    throw new KindredError("invalid_model", message, { file: path }, error);
  }
  const render: RenderChat = ({ messages, variables = {} }, { addGenerationPrompt }) => {
    const isOwn = (name: string): boolean => OWN_NAMES.has(name) || Object.hasOwn(tokens, name);
    try {
      const turns = messages.map(turnOf);
      const names = new WatchedDict([
        ["tools", null],
        ["documents", null],
        ...dictOf(Object.entries(variables).filter(([name]) => !isOwn(name))),
        ...Object.entries(tokens),
        ["messages", turns],
        ["add_generation_prompt", addGenerationPrompt],
      ]);
      const { text, marked } = template.render(names, STARTED);
      return {
        text,
        marked: template.marks ? marked : undefined,
        readMessage: (index, field) => wasRead(turns[index], field),
        readVariable: (name) => !isOwn(name) && names.wasRead(name),
      };
    } catch (error) {
      const message = `the chat template (${path}) refuses the messages: ${(error as Error).message}`;
      throw new KindredError("invalid_data", message, { file: path }, error);
    }
  };
  return Object.assign(render, { hash: hashOf(text, tokens) });
}

/** SHA-256 (hex) of a template and of the special tokens that it names. */
function hashOf(text: string, tokens: SpecialTokens): string {
  const named = Object.fromEntries(Object.entries(tokens).filter(([name]) => text.includes(name)));
  return createHash("sha256")
    .update(`kindred chat template 1\n${canonicalJson([text, named])}`)
    .digest("hex");
}
