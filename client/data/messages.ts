/** Rows of messages: their form is checked here. Which of their fields are used is the chat template's matter (conversation.ts). */

import { parseExactJson } from "../../shared/base/exact-json.js";
import { isObject } from "../../shared/base/json.js";
import { invalidData as fail } from "./faults.js";
import { isGiven } from "./fields.js";
import type { ChatMessage, Conversation } from "./types.js";
import { show } from "./values.js";

/** Refuses texts that cannot be written as UTF-8, however deep they lie. */
function checkTexts(value: unknown, field: string, where: string): void {
  if (typeof value === "string") {
    if (!/\p{Surrogate}/u.test(value)) return;
    throw fail(where, `${field} holds half of a surrogate pair, which is no character; remove it`);
  }
  if (Array.isArray(value)) value.forEach((item, at) => void checkTexts(item, `${field}[${at}]`, where));
  else if (isObject(value)) {
    for (const [name, inner] of Object.entries(value)) {
      checkTexts(name, `a field's name in ${field}`, where);
      checkTexts(inner, `${field}.${name}`, where);
    }
  }
}

/** Parts of a content: texts alone, because no model here reads images or sounds. */
function checkParts(parts: readonly unknown[], field: string, where: string): void {
  parts.forEach((part, at) => {
    const name = `${field}[${at}]`;
    if (!isObject(part)) throw fail(where, `${name} must be {"type": "text", "text"}, got ${show(part)}`);
    if (part.type !== "text") throw fail(where, `${name}.type is ${show(part.type)}; only "text" can be read`);
    if (typeof part.text !== "string") throw fail(where, `${name}.text must be a string, got ${show(part.text)}`);
    const other = Object.keys(part).find((key) => key !== "type" && key !== "text" && isGiven(part[key]));
    if (other !== undefined) throw fail(where, `${name}.${other} is not read; remove it`);
  });
}

function readMessage(message: unknown, field: string, where: string): ChatMessage {
  if (!isObject(message)) throw fail(where, `${field} must be {"role", "content"}, got ${show(message)}`);
  const { role, content } = message;
  if (typeof role !== "string") throw fail(where, `${field}.role must be a string, got ${show(role)}`);
  if (Array.isArray(content)) checkParts(content, `${field}.content`, where);
  else if (typeof content !== "string" && (isGiven(content) || !isGiven(message.tool_calls))) {
    throw fail(where, `${field}.content must be a string or a list of parts, got ${show(content)}`);
  }
  if (isGiven(message.tool_calls) && !Array.isArray(message.tool_calls)) {
    throw fail(where, `${field}.tool_calls must be a list, got ${show(message.tool_calls)}`);
  }
  checkTexts(message, field, where);
  return { ...message, role };
}

/** A list of objects for the template. Data sets also hold it as a text of JSON. */
function objects(value: unknown, field: string, where: string): unknown {
  let list = value;
  try {
    if (typeof value === "string") list = parseExactJson(value);
  } catch {
    // Refused below, with the text as it is.
  }
  if (Array.isArray(list) && list.every(isObject)) return list;
  throw fail(where, `${field} must be a list of objects, got ${show(value)}`);
}

/**
 * A row of messages. All its other fields are variables for the chat template.
 * @throws {KindredError} `invalid_data` naming `where`, the field and the value
 */
export function readConversation(row: Readonly<Record<string, unknown>>, where: string): Conversation {
  const { messages: given, ...rest } = row;
  if (!Array.isArray(given)) throw fail(where, `messages must be a list, got ${show(given)}`);
  const messages = given.map((message, at) => readMessage(message, `messages[${at}]`, where));
  const variables: Record<string, unknown> = rest;
  for (const [field, value] of Object.entries(rest)) {
    checkTexts(value, field, where);
    if ((field === "tools" || field === "documents") && isGiven(value)) variables[field] = objects(value, field, where);
  }
  // Data sets repeat the first question beside the conversation.
  if (messages.some(({ content }) => content === variables.prompt)) delete variables.prompt;
  return Object.keys(variables).length === 0 ? { messages } : { messages, variables };
}
