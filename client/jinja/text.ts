/** Texts as Python's `str` has them: their length in characters, their white space, their letter case, their literals. */
import { spendOnParts, spendOnText } from "./budget.js";

const SPACE = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ALL_SPACE = new RegExp(`^[${SPACE}]+$`);
const WORD = new RegExp(`[^${SPACE}]+`, "g");
const START = new RegExp(`^[${SPACE}]+`);
const END = new RegExp(`(?<![${SPACE}])[${SPACE}]+$`);
const LINE_ENDS = "\\n-\\r\\u001c-\\u001e\\u0085\\u2028\\u2029";
const LINE = new RegExp(`\\r\\n|[${LINE_ENDS}]`, "g");
const CASED = /\p{Cased}/u;
/** Jinja's filter `title` begins words behind these. */
const TITLE_BREAK = new RegExp(`([-${SPACE}({\\[<]+)`);

/** Whether a text is white space alone, and not empty. */
export function isSpace(text: string): boolean {
  return ALL_SPACE.test(text);
}

/** A text's characters. A surrogate pair is one. */
export function characters(text: string): readonly string[] {
  spendOnParts(text);
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text.split("");
}

export function lengthOf(text: string): number {
  spendOnText(text);
  return /[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length;
}

/** The order of Python's texts: by code point. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  for (const text of [a, b]) spendOnParts(text);
  const [x, y] = [Array.from(a), Array.from(b)];
  const at = x.findIndex((character, index) => character !== y[index]);
  if (at < 0) return -1;
  if (at >= y.length) return 1;
  return x[at]!.codePointAt(0)! < y[at]!.codePointAt(0)! ? -1 : 1;
}

/** Without the characters of `set`, or white space, at the start. */
export function stripStart(text: string, set?: string): string {
  if (set === undefined) return text.replace(START, "");
  const all = characters(text);
  const drop = new Set(characters(set));
  const from = all.findIndex((character) => !drop.has(character));
  return from < 0 ? "" : all.slice(from).join("");
}

export function stripEnd(text: string, set?: string): string {
  if (set === undefined) return text.replace(END, "");
  const all = characters(text);
  const drop = new Set(characters(set));
  return all.slice(0, all.findLastIndex((character) => !drop.has(character)) + 1).join("");
}

/** `str.split`. @param limit of splits; negative: none */
export function split(text: string, separator: string | undefined, limit: number): string[] {
  if (separator !== undefined) {
    const parts = text.split(separator);
    if (limit < 0 || parts.length <= limit + 1) return parts;
    return [...parts.slice(0, limit), parts.slice(limit).join(separator)];
  }
  const parts: string[] = [];
  for (const word of stripStart(text).matchAll(WORD)) {
    if (parts.length === limit) return [...parts, stripStart(text).slice(word.index)];
    parts.push(word[0]);
  }
  return parts;
}

/** `str.rsplit`. */
export function splitFromEnd(text: string, separator: string | undefined, limit: number): string[] {
  if (limit < 0) return split(text, separator, limit);
  if (separator !== undefined) {
    const parts = text.split(separator);
    const from = parts.length - limit;
    return from <= 1 ? parts : [parts.slice(0, from).join(separator), ...parts.slice(from)];
  }
  const words = [...stripEnd(text).matchAll(WORD)];
  if (words.length <= limit) return words.map(([word]) => word);
  const from = words.length - limit;
  const last = words[from - 1]!;
  return [stripEnd(text).slice(0, last.index + last[0].length), ...words.slice(from).map(([word]) => word)];
}

/** `str.splitlines`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let at = 0;
  for (const end of text.matchAll(LINE)) {
    const after = end.index + end[0].length;
    lines.push(text.slice(at, keepEnds ? after : end.index));
    at = after;
  }
  if (at < text.length) lines.push(text.slice(at));
  return lines;
}

/** A letter as the first one of a title. Digraphs have a form of their own, one behind the upper case. */
function titleCharacter(character: string): string {
  const [first = "", ...rest] = characters(character.toUpperCase());
  if (/^[Ǆ-ǌǱ-ǳ]$/.test(character)) return String.fromCharCode(first.charCodeAt(0) + 1);
  return first + rest.join("").toLowerCase();
}

/** `str.title`: a letter behind anything without letter case is a capital. */
export function titleText(text: string): string {
  let inside = false;
  return characters(text)
    .map((character) => {
      const made = inside ? character.toLowerCase() : titleCharacter(character);
      inside = CASED.test(character);
      return made;
    })
    .join("");
}

/** Jinja's filter `title`. */
export function titleWords(text: string): string {
  return text
    .split(TITLE_BREAK)
    .map((word) => {
      const [first = "", ...rest] = characters(word);
      return first.toUpperCase() + rest.join("").toLowerCase();
    })
    .join("");
}

/** `str.capitalize`. */
export function capitalize(text: string): string {
  const [first, ...rest] = characters(text);
  return first === undefined ? "" : titleCharacter(first) + rest.join("").toLowerCase();
}

export function hasCase(text: string, wanted: "upper" | "lower"): boolean {
  const cased = characters(text).filter((character) => CASED.test(character));
  const isWanted = (character: string): boolean =>
    wanted === "upper" ? /\p{Uppercase}/u.test(character) : /\p{Lowercase}/u.test(character);
  return cased.length > 0 && cased.every(isWanted);
}

/** `str.replace`. @param count of replacements; negative: all */
export function replaceText(text: string, from: string, to: string, count: number): string {
  const parts = from === "" ? ["", ...characters(text), ""] : text.split(from);
  let made = parts[0]!;
  parts.slice(1).forEach((part, index) => {
    made += (count < 0 || index < count ? to : from) + part;
  });
  return made;
}

const QUOTED: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Python's literal of a text: in single quotation marks unless it holds those and no double ones. */
export function literal(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = characters(text).map((character) => {
    if (character === quote) return `\\${quote}`;
    const known = QUOTED[character];
    if (known !== undefined) return known;
    if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
    const code = character.codePointAt(0)!;
    const hex = code.toString(16);
    if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
  return quote + body.join("") + quote;
}
