/**
 * Checks rows and brings their forms into one type. A row is plain text, an object with prompt, completion and choices, with
 * instruction, input and output, or with messages, or any other object through a template. This file knows text and formats;
 * encode.ts makes tokens.
 */
import { KindredError } from "../../shared/base/errors.js";
import { parseTemplate, type RowFormat, type TemplatePart } from "../../shared/config/format.js";
import { invalidData as fail } from "./faults.js";
import { labelReader } from "./labels.js";
import type { ChatMessage, Example, Question } from "./types.js";
import { isScalar, show, templateValue } from "./values.js";

/** Turns one parsed row into a value. @throws {KindredError} `invalid_data` naming `where`, the field and the value */
export type RowReader<T> = (row: unknown, where: string) => T;

/** A checked row whose answer may be missing. */
type Draft =
  | Exclude<Example, { kind: "answer" }>
  | {
      readonly kind: "answer";
      readonly where: string;
      readonly prompt: string;
      readonly completion?: string;
      readonly choices?: readonly string[];
    };

/** More choices than any classification task has: CLINC150 has 151. */
const MAX_CHOICES = 10_000;

/** A text field's value. Refused where it is no text or cannot be written as UTF-8. */
function textOf(value: unknown, field: string, where: string): string {
  if (typeof value !== "string") throw fail(where, `${field} must be a string, got ${show(value)}`);
  if (/\p{Surrogate}/u.test(value)) {
    throw fail(where, `${field} holds half of a surrogate pair, which is no character; remove it`);
  }
  return value;
}

function templateOf(template: string, field: string): TemplatePart[] {
  try {
    return parseTemplate(template);
  } catch (error) {
    throw new KindredError("invalid_config", `${field}: ${(error as Error).message}, got ${show(template)}`, { field });
  }
}

function has(row: object, field: string): boolean {
  return Object.hasOwn(row, field);
}

function fill(parts: readonly TemplatePart[], row: Record<string, unknown>, option: string, where: string): string {
  return parts
    .map((part) => {
      if ("text" in part) return part.text;
      if (!has(row, part.field)) {
        const known = Object.keys(row).map(show).join(", ");
        throw fail(where, `no field ${show(part.field)}, which ${option} names; the row has ${known || "no fields"}`);
      }
      const value = row[part.field];
      return isScalar(value) ? String(value) : textOf(value, part.field, where);
    })
    .join("");
}

/** Distinct choices in their order: a choice that occurs twice would compete with itself. */
function distinct(choices: readonly string[], where: string): string[] {
  const set = [...new Set(choices)];
  if (set.length < 2) throw fail(where, `choices must hold at least two different completions, got ${show(choices)}`);
  if (set.length > MAX_CHOICES) throw fail(where, `choices holds ${set.length} completions, more than ${MAX_CHOICES}`);
  if (set.includes("")) throw fail(where, `choices holds an empty completion, which has no token to score`);
  return set;
}

function readAnswer(row: Record<string, unknown>, where: string): Draft {
  const prompt = textOf(row.prompt, "prompt", where);
  const answer = has(row, "completion") ? { completion: textOf(row.completion, "completion", where) } : {};
  if (!has(row, "choices") || row.choices === null) return { kind: "answer", where, prompt, ...answer };
  if (!Array.isArray(row.choices)) {
    throw fail(where, `choices must be a list of completions, got ${show(row.choices)}`);
  }
  const choices = row.choices.map((choice, index) => textOf(choice, `choices[${index}]`, where));
  const { completion } = answer;
  if (completion !== undefined && !choices.includes(completion)) {
    throw fail(where, `completion ${show(completion)} is not among the choices ${show(choices)}; add it or correct it`);
  }
  return { kind: "answer", where, prompt, ...answer, choices: distinct(choices, where) };
}

/** A row of instruction data: instruction, an input that may be absent or empty, and output. */
function readInstruction(row: Record<string, unknown>, where: string): Draft {
  const instruction = textOf(row.instruction, "instruction", where);
  const given = has(row, "input") && row.input !== null ? textOf(row.input, "input", where) : "";
  const input = given === "" ? "" : `### Input:\n${given}\n\n`;
  const answer = has(row, "output") ? { completion: textOf(row.output, "output", where) } : {};
  return { kind: "answer", where, prompt: `### Instruction:\n${instruction}\n\n${input}### Response:\n`, ...answer };
}

/** The fields of a row with messages, their numbers as a chat template takes them. */
function forTemplates(row: Record<string, unknown>, where: string): Record<string, unknown> {
  try {
    return templateValue(row) as Record<string, unknown>;
  } catch (error) {
    throw fail(where, (error as Error).message);
  }
}

function readMessages(row: Record<string, unknown>, where: string): Draft {
  if (!Array.isArray(row.messages)) throw fail(where, `messages must be a list, got ${show(row.messages)}`);
  const messages = row.messages.map((message: unknown, index): ChatMessage => {
    const field = `messages[${index}]`;
    if (typeof message !== "object" || message === null) {
      throw fail(where, `${field} must be {"role", "content"}, got ${show(message)}`);
    }
    const { role, content } = message as Record<string, unknown>;
    return { role: textOf(role, `${field}.role`, where), content: textOf(content, `${field}.content`, where) };
  });
  return { kind: "chat", where, messages };
}

/**
 * A reader of rows in a given format. Each row must have its answer.
 * @throws {KindredError} `invalid_config` where the format itself is wrong
 */
export function rowReader(format: RowFormat = {}): RowReader<Example> {
  const read = draftReader(format, true);
  return (row, where) => {
    const draft = read(row, where);
    if (draft.kind === "chat" && !draft.messages.some(({ role }) => role === "assistant")) {
      throw fail(where, `messages has nothing to score; expected a turn of the role "assistant"`);
    }
    if (draft.kind !== "answer") return draft;
    const { completion } = draft;
    if (completion !== undefined) return { ...draft, completion };
    throw fail(
      where,
      "has a prompt and no answer to it; add completion (output of an instruction), or give a template",
    );
  };
}

/**
 * A reader of rows in a given format that are to be answered: completions and labels may be missing. The last message of a
 * conversation is its completion where it is the assistant's.
 * @throws {KindredError} `invalid_config` where the format itself is wrong
 */
export function questionReader(format: RowFormat = {}): RowReader<Question> {
  const read = draftReader(format, false);
  return (row, where) => {
    const draft = read(row, where);
    if (draft.kind === "text") return { where, prompt: draft.text };
    if (draft.kind === "answer") {
      const { kind: _, ...question } = draft;
      return question;
    }
    const { messages } = draft;
    const last = messages.at(-1);
    if (last === undefined) throw fail(where, "messages is empty, so there is nothing to answer");
    if (last.role !== "assistant") return { where, prompt: { messages } };
    return { where, prompt: { messages: messages.slice(0, -1) }, completion: last.content as string };
  };
}

/** @param labelRequired whether every row must have its label */
function draftReader(format: RowFormat, labelRequired: boolean): RowReader<Draft> {
  const prompt = format.template === undefined ? undefined : templateOf(format.template, "template");
  const completion = format.completion === undefined ? undefined : templateOf(format.completion, "completion");
  const map = format.choices === undefined ? undefined : new Map(Object.entries(format.choices));
  if (prompt === undefined && (map !== undefined || completion !== undefined)) {
    throw new KindredError("invalid_config", "choices and completion need a template for the prompt; add template");
  }
  if (map !== undefined && completion !== undefined) {
    throw new KindredError("invalid_config", "choices and completion exclude each other; remove one of them");
  }
  const choices = map && distinct([...map.values()], "the configuration's choices");
  const labelOf = map && labelReader(format.label, map, labelRequired);

  // A template that names them is meant for rows that have them.
  const ownForm = !prompt?.some((part) => "field" in part && (part.field === "prompt" || part.field === "completion"));

  const readTemplated = (row: Record<string, unknown>, parts: readonly TemplatePart[], where: string): Draft => {
    const text = fill(parts, row, "template", where);
    if (labelOf !== undefined && choices !== undefined) {
      const label = labelOf(row, where);
      return { kind: "answer", where, prompt: text, choices, ...(label === undefined ? {} : { completion: label }) };
    }
    if (completion === undefined) return { kind: "text", where, text };
    return { kind: "answer", where, prompt: text, completion: fill(completion, row, "completion", where) };
  };

  return (row, where) => {
    if (typeof row === "string") return { kind: "text", where, text: textOf(row, "the text", where) };
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      throw fail(where, `a row must be a string or an object, got ${show(row)}`);
    }
    const object = row as Record<string, unknown>;
    if (ownForm && has(object, "prompt") && has(object, "completion")) return readAnswer(object, where);
    if (has(object, "messages")) return readMessages(forTemplates(object, where), where);
    if (prompt !== undefined) return readTemplated(object, prompt, where);
    if (has(object, "prompt")) return readAnswer(object, where);
    if (has(object, "instruction")) return readInstruction(object, where);
    const fields = Object.keys(object).map(show).join(", ") || "none";
    throw fail(
      where,
      `has neither prompt and completion, nor instruction and output, nor messages (its fields: ${fields}); give a template that makes a prompt of them`,
    );
  };
}
