/**
 * Checks rows and brings their forms into one type. A row is plain text, an object with prompt, completion and choices, with
 * instruction, input and output, or with messages, or any other object through a template. This file knows text and formats;
 * encode.ts makes tokens.
 */
import { KindredError } from "../../shared/base/errors.js";
import { labelProblem, parseTemplate, type RowFormat, type TemplatePart } from "../../shared/config/format.js";
import { invalidData as fail } from "./faults.js";
import { isGiven, leavingOut, refuseOtherFields } from "./fields.js";
import { labelReader } from "./labels.js";
import { readConversation } from "./messages.js";
import type { Example, Question } from "./types.js";
import { isScalar, show } from "./values.js";

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

/** The field that a template is, where it is one field and no more: such a row is the field's text, and no prompt. */
function fieldAlone([first, ...rest]: readonly TemplatePart[]): string | undefined {
  return first !== undefined && "field" in first && rest.length === 0 ? first.field : undefined;
}

function has(row: object, field: string): boolean {
  return Object.hasOwn(row, field);
}

function fill(
  parts: readonly TemplatePart[],
  row: Readonly<Record<string, unknown>>,
  option: string,
  where: string,
): string {
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

function readAnswer(row: Readonly<Record<string, unknown>>, where: string): Draft {
  refuseOtherFields(row, ["prompt", "completion", "choices"], where);
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
function readInstruction(row: Readonly<Record<string, unknown>>, where: string): Draft {
  const { text, ...own } = row;
  const instruction = textOf(row.instruction, "instruction", where);
  const given = has(row, "input") && row.input !== null ? textOf(row.input, "input", where) : "";
  const input = given === "" ? "" : `### Input:\n${given}\n\n`;
  const answer = has(row, "output") ? { completion: textOf(row.output, "output", where) } : {};
  // Data sets repeat the whole in a field of its own.
  const repeats = typeof text === "string" && text.includes(instruction) && text.includes(answer.completion ?? "");
  refuseOtherFields(repeats ? own : row, ["instruction", "input", "output"], where);
  return { kind: "answer", where, prompt: `### Instruction:\n${instruction}\n\n${input}### Response:\n`, ...answer };
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
    const { kind: _, where: __, messages, ...rest } = draft;
    const last = messages.at(-1);
    if (last === undefined) throw fail(where, "messages is empty, so there is nothing to answer");
    if (last.role !== "assistant") return { where, prompt: { messages, ...rest } };
    const prompt = { messages: messages.slice(0, -1), ...rest };
    return typeof last.content === "string" && !isGiven(last.tool_calls)
      ? { where, prompt, completion: last.content }
      : { where, prompt };
  };
}

/** Fields that hold an answer, by their usual names. */
const ANSWERS = ["completion", "answer", "answers", "output", "response", "target", "reply", "solution"];

/** A row whose template is the field `text` alone is that text, and an answer beside it would be left behind. */
function refuseAnswers(row: Readonly<Record<string, unknown>>, text: string, where: string): void {
  const answer = ANSWERS.find((field) => field !== text && isGiven(row[field]));
  if (answer === undefined) return;
  throw fail(
    where,
    `${show(answer)} is not read (value ${show(row[answer])}): the template ${show(`{${text}}`)} alone scores the field ` +
      `${show(text)} as a whole text; to score the answer add completion ${show(`{${answer}}`)}; to score the text alone ` +
      "give it as completion in place of template",
  );
}

/** @param scored whether every row must have what is scored: its label, or a completion */
function draftReader(format: RowFormat, scored: boolean): RowReader<Draft> {
  const prompt = format.template === undefined ? undefined : templateOf(format.template, "template");
  const completion = format.completion === undefined ? undefined : templateOf(format.completion, "completion");
  const map = format.choices === undefined ? undefined : new Map(Object.entries(format.choices));
  if (prompt === undefined && map !== undefined) {
    throw new KindredError("invalid_config", "choices need a template for the prompt; add template");
  }
  const wrongLabel = labelProblem(format);
  if (wrongLabel !== undefined) {
    throw new KindredError("invalid_config", `label: ${wrongLabel}`, { field: "label" });
  }
  if (map !== undefined && completion !== undefined) {
    throw new KindredError("invalid_config", "choices and completion exclude each other; remove one of them");
  }
  const choices = map && distinct([...map.values()], "the configuration's choices");
  const labelOf = map && labelReader(format.label, map, scored);
  const wholeText = prompt && fieldAlone(prompt);
  if (scored && prompt !== undefined && map === undefined && completion === undefined && wholeText === undefined) {
    throw new KindredError(
      "invalid_config",
      `template: makes a prompt, and nothing says what is scored, got ${show(format.template)} alone; add completion or choices; ` +
        'for a whole text give completion alone, such as "{title}: {text}"',
      { field: "template" },
    );
  }

  const kept = leavingOut(format.ignore ?? []);
  // A template that names them is meant for rows that have them.
  const named = [...(prompt ?? []), ...(completion ?? [])].flatMap((part) => ("field" in part ? [part.field] : []));
  const ownForm = !named.includes("prompt") && !named.includes("completion");

  const readTemplated = (row: Readonly<Record<string, unknown>>, where: string): Draft => {
    const text = fill(prompt ?? [], row, "template", where);
    if (labelOf !== undefined && choices !== undefined) {
      const label = labelOf(row, where);
      return { kind: "answer", where, prompt: text, choices, ...(label === undefined ? {} : { completion: label }) };
    }
    if (completion === undefined) {
      if (scored && wholeText !== undefined) refuseAnswers(row, wholeText, where);
      return { kind: "text", where, text };
    }
    return { kind: "answer", where, prompt: text, completion: fill(completion, row, "completion", where) };
  };

  return (row, where) => {
    if (typeof row === "string") return { kind: "text", where, text: textOf(row, "the text", where) };
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      const hint =
        Array.isArray(row) && row.some((each) => typeof each === "object")
          ? "; write each row on a line of its own"
          : "";
      throw fail(where, `a row must be a string or an object, got ${show(row)}${hint}`);
    }
    const object = kept(row as Record<string, unknown>);
    if (ownForm && has(object, "prompt") && has(object, "completion")) return readAnswer(object, where);
    if (has(object, "messages")) return { kind: "chat", where, ...readConversation(object, where) };
    if (prompt !== undefined || completion !== undefined) return readTemplated(object, where);
    if (has(object, "prompt")) return readAnswer(object, where);
    if (has(object, "instruction")) return readInstruction(object, where);
    const fields = Object.keys(object).map(show).join(", ") || "none";
    throw fail(
      where,
      `has neither prompt and completion, nor instruction and output, nor messages (its fields: ${fields}); give a template that makes a prompt of them, such as '{text}' for a field that is the whole text`,
    );
  };
}
