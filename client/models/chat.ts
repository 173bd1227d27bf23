/**
 * A model's chat template, rendered as transformers renders it. It knows no tokens: client/data decides which turns are scored.
 */
import { createHash } from "node:crypto";
import { KindredError } from "../../shared/base/errors.js";
import { canonicalJson } from "../../shared/base/json.js";
import { readTokenizerConfig, type SpecialTokens, type TokenizerConfig } from "../../shared/models/special-tokens.js";
import type { ChatMessage, RenderChat } from "../data/types.js";
import { globalsAt } from "../jinja/globals.js";
import { dictOf } from "../jinja/json.js";
import { Template } from "../jinja/template.js";
import { isList, ListOfParts, WatchedDict } from "../jinja/values.js";
import { readChatTemplates, type TemplateSources } from "./chat-files.js";

/** Renders conversations. `hash` is the SHA-256 (hex) of what decides how. */
export type ChatTemplate = RenderChat & { readonly hash: string };

/** The template for conversations with tools, where a model has one of its own for them. */
const TOOL_USE = "tool_use";

/**
 * The chat template of a model's folder, or undefined where the model has none.
 * @param known the folder's configuration of the tokenizer, where it was read already
 * @returns as `chatTemplateFrom`
 * @throws {KindredError} `invalid_model` where a file cannot be read
 */
export async function loadChatTemplate(folder: string, known?: TokenizerConfig): Promise<ChatTemplate | undefined> {
  const config = known ?? (await readTokenizerConfig(folder));
  return chatTemplateFrom(await readChatTemplates(folder, config), config.specialTokens);
}

/**
 * The chat template that a model's templates make: of several, `tool_use` for conversations with tools and `default` for the others,
 * as transformers chooses them. Undefined where there are none.
 * @returns as of `chatTemplateOf`; the function also throws `invalid_model` where there is no template for a conversation
 */
export function chatTemplateFrom(sources: TemplateSources, tokens: SpecialTokens): ChatTemplate | undefined {
  const of = (name: string): ChatTemplate | undefined => {
    const source = sources.get(name);
    return source && chatTemplateOf(source.text, tokens, source.path);
  };
  const [plain, forTools] = [of("default"), of(TOOL_USE)];
  if (sources.size === 0 || (plain !== undefined && forTools === undefined)) return plain;
  const render: RenderChat = (conversation, options) => {
    const tools = conversation.variables?.tools ?? null;
    const chosen = (tools === null ? undefined : forTools) ?? plain;
    if (chosen !== undefined) return chosen(conversation, options);
    const [{ path = "" } = {}] = [...sources.values()];
    const names = [...sources.keys()].join(", ");
    throw new KindredError(
      "invalid_model",
      `${path}: none of the chat templates is for such a conversation (${names}); name one of them default`,
      { file: path },
    );
  };
  const hashes = [plain?.hash ?? "", forTools?.hash ?? ""];
  return Object.assign(render, { hash: createHash("sha256").update(hashes.join("\n")).digest("hex") });
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

/** A template's text, parsed when it is needed: rows of other forms need none. */
class LazyTemplate {
  private parsed: Template | undefined;

  constructor(
    private readonly text: string,
    private readonly path: string,
  ) {}

  /** @throws {KindredError} `invalid_model` naming the line where the text is no template, or has something that is not supported */
  get(): Template {
    try {
      this.parsed ??= new Template(this.text);
      return this.parsed;
    } catch (error) {
      const message = `${this.path}: the chat template cannot be read (${(error as Error).message})`;
      throw new KindredError("invalid_model", message, { file: this.path }, error);
    }
  }
}

/**
 * A chat template from its text.
 * @param tokens special tokens, which it may write. @param path for messages
 * @returns a function that throws `invalid_model` naming the line where the text is no template or has something that is not
 * supported, and `invalid_data` where the template refuses the messages
 */
export function chatTemplateOf(text: string, tokens: SpecialTokens, path: string): ChatTemplate {
  const lazy = new LazyTemplate(text, path);
  const render: RenderChat = ({ messages, variables = {} }, { addGenerationPrompt }) => {
    const isOwn = (name: string): boolean => OWN_NAMES.has(name) || Object.hasOwn(tokens, name);
    const template = lazy.get();
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
