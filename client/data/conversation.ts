/**
 * A conversation as one text, and which parts of it are scored: what the chat template writes after its generation prompt, up to
 * the end of the assistant's turn, its end-of-turn token included. A template that marks the assistant's turns by
 * `{% generation %}` says so itself. Of any other template, the turns are found by rendering the conversation up to them.
 *
 * Turns after the last one of the assistant are left out: nothing in them is scored, and they would take room from those before.
 */
import { KindredError } from "../../shared/base/errors.js";
import { invalidData as fail } from "./faults.js";
import { isGiven, isProvenance, toIgnore } from "./fields.js";
import { commonPrefix } from "./prefix.js";
import type { ChatMessage, Conversation, RenderChat, RenderedChat, TextRange } from "./types.js";
import { show } from "./values.js";

/** A conversation's text. The ranges are ascending and disjoint, and at least one of them is not empty. */
export interface ConversationText {
  readonly text: string;
  readonly scored: readonly TextRange[];
}

/** Stands for a turn's content where the content's place is looked for. Private-use characters: no template acts on them. */
const PLACEHOLDER = "\uE0A7\uE1B3\uE0A7";

/** The end of a text for a message, in quotation marks. */
function tail(text: string): string {
  return JSON.stringify(text.length > 40 ? `...${text.slice(-40)}` : text);
}

function head(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

/** A function that renders a conversation's messages, or some of them. @throws {KindredError} as `renderConversation` */
function renderer({ variables = {} }: Conversation, renderChat: RenderChat | undefined, where: string) {
  if (renderChat === undefined) {
    throw new KindredError(
      "unsupported",
      `${where}: messages need the model's chat template, and none is available here; write the row as prompt and completion`,
      { where },
    );
  }
  return (messages: readonly ChatMessage[], addGenerationPrompt: boolean): RenderedChat => {
    try {
      return renderChat({ messages, variables }, { addGenerationPrompt });
    } catch (cause) {
      throw fail(where, (cause as Error).message, cause); // a template may refuse messages, and does not know the row
    }
  };
}

/** Fields of a message that only say which it is, or which call it belongs to. */
function isIdentifier({ role }: ChatMessage, field: string): boolean {
  return field === "role" || field === "id" || field === "tool_call_id" || (field === "name" && role === "tool");
}

/** A field that the template does not read would be dropped without a word. */
function refuseUnread({ messages, variables = {} }: Conversation, rendered: RenderedChat, where: string): void {
  const unused = "is not used by the model's chat template, so that it would be lost";
  messages.forEach((message, at) => {
    const fields = Object.keys(message).filter(
      (name) => isGiven(message[name]) && !isIdentifier(message, name) && !rendered.readMessage(at, name),
    );
    const [field] = fields;
    if (fields.includes("content"))
      throw fail(where, `messages[${at}] (${show(message.role)}) ${unused}; remove the message`);
    const ignored = fields.map((name) => `messages.${name}`);
    if (field !== undefined) throw fail(where, `messages[${at}].${field} ${unused}; ${toIgnore(ignored)}`);
  });
  const fields = Object.keys(variables).filter(
    (name) => isGiven(variables[name]) && !isProvenance(name) && !rendered.readVariable(name),
  );
  if (fields.length > 0) throw fail(where, `${fields[0]} ${unused}; ${toIgnore(fields)}`);
}

/** Finds the turns of one conversation in its text. */
class Turns {
  constructor(
    private readonly messages: readonly ChatMessage[],
    private readonly text: string,
    private readonly render: ReturnType<typeof renderer>,
    private readonly where: string,
  ) {}

  /** Where the assistant's turn of the message `at` stands in the whole text. */
  rangeOf(at: number): TextRange {
    const { messages, text } = this;
    const before = this.render(messages.slice(0, at), true).text;
    if (!text.startsWith(before)) throw this.notContinued(at, before);
    const after = this.render(messages.slice(0, at + 1), false).text;
    const end = text.startsWith(after) ? after.length : this.endAmongOthers(at);
    return { start: before.length, end: Math.max(before.length, end) };
  }

  /**
   * The end of a turn that the template writes otherwise where others follow (Qwen3 leaves out the reasoning of earlier turns). It
   * is found with a placeholder for the turn's content, and what the template writes behind it where the turn is the last one.
   */
  private endAmongOthers(at: number): number {
    const { messages, text } = this;
    const changed = messages.map((message, index) => (index === at ? { ...message, content: PLACEHOLDER } : message));
    const alone = this.render(changed.slice(0, at + 1), false).text.split(PLACEHOLDER);
    const among = this.render(changed, false).text.split(PLACEHOLDER);
    const [, ending] = alone;
    const [, rest] = among;
    const found = alone.length === 2 && among.length === 2 && typeof messages[at]!.content === "string";
    if (!found || ending === undefined || rest === undefined || !rest.startsWith(ending) || !text.endsWith(rest)) {
      throw fail(
        this.where,
        `messages[${at}]: the chat template writes this turn otherwise where others follow it, so that its end cannot be told; ` +
          "write the row as prompt and completion",
      );
    }
    return text.length - rest.length + ending.length;
  }

  /** The model would continue the generation prompt, and the template begins the turn with something else. */
  private notContinued(at: number, before: string): KindredError {
    const { messages, text } = this;
    const advice = "write the row as prompt and completion";
    const closed = this.render(messages.slice(0, at), false).text;
    if (!text.startsWith(closed)) {
      const from = commonPrefix([text, closed]);
      return fail(
        this.where,
        `messages[${at}]: the chat template rewrites what stands before this turn: ${head(closed.slice(from))} becomes ` +
          `${head(text.slice(from))} once the turn is there; ${advice}`,
      );
    }
    const prompt = before.slice(commonPrefix([before, closed]));
    const written = text.slice(Math.min(closed.length, commonPrefix([before, closed])));
    const { content } = messages[at]!;
    const cut =
      typeof content !== "string" || written.includes(content.trim())
        ? ""
        : `, and changes the turn's content ${head(content)}`;
    return fail(
      this.where,
      `messages[${at}]: the chat template ends its generation prompt with ${tail(prompt)}, but begins this turn with ` +
        `${head(written)}${cut}; the model would never continue such a prompt with such a turn; ${advice}`,
    );
  }
}

/**
 * The text of a conversation up to its last assistant turn, and the assistant's turns in it.
 * @throws {KindredError} `invalid_data` naming the row: no assistant's text in it, the template refuses the messages, or it writes
 * a turn in a way that the turn cannot be told from the rest; `unsupported` without a chat template
 */
export function renderConversation(
  conversation: Conversation,
  renderChat: RenderChat | undefined,
  where: string,
): ConversationText {
  const last = conversation.messages.findLastIndex(({ role }) => role === "assistant");
  const messages = conversation.messages.slice(0, last + 1);
  const render = renderer(conversation, renderChat, where);
  const rendered = render(messages, false);
  refuseUnread({ ...conversation, messages }, rendered, where);
  const { text, marked } = rendered;
  const turns = new Turns(messages, text, render, where);
  const scored = marked ?? messages.flatMap(({ role }, at) => (role === "assistant" ? [turns.rangeOf(at)] : []));
  if (!scored.some(({ start, end }) => end > start)) {
    const reason =
      marked === undefined ? "the assistant's turns are empty" : "its chat template marks no text as generated";
    throw fail(where, `messages has nothing to score: ${reason}`);
  }
  return { text, scored };
}

/**
 * The text of a conversation that ends where the assistant's next turn begins.
 * @throws {KindredError} as `renderConversation`
 */
export function renderChatPrompt(
  conversation: Conversation,
  renderChat: RenderChat | undefined,
  where: string,
): string {
  const rendered = renderer(conversation, renderChat, where)(conversation.messages, true);
  refuseUnread(conversation, rendered, where);
  return rendered.text;
}
