/** JSON as Python's `json` module writes it, and values from JSON. */
import { WrittenNumber } from "../../shared/base/exact-json.js";
import { spend, spendOnText } from "./budget.js";
import { ValueError } from "./errors.js";
import { compareTexts } from "./text.js";
import { type Dict, isList, isNumeric, Tuple, toText, typeOf, type Value } from "./values.js";

export interface JsonForm {
  readonly asciiOnly: boolean;
  /** What one level is indented by; undefined: all in one line. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sorted: boolean;
}

function quoted(text: string, asciiOnly: boolean): string {
  const json = JSON.stringify(text);
  if (!asciiOnly) return json;
  return json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function scalar(value: Value): string | undefined {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) {
    return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  }
  return isNumeric(value) ? toText(value) : undefined;
}

function keyText(key: Value): string {
  const text = typeof key === "string" ? key : scalar(key);
  if (text === undefined) throw new ValueError(`a key of type ${typeOf(key)} is no key of JSON`);
  return text;
}

/** `json.dumps`. @throws {ValueError} for values that JSON has not */
export function toJson(value: Value, form: JsonForm, depth = 0): string {
  spend();
  if (typeof value === "string") {
    spendOnText(value);
    return quoted(value, form.asciiOnly);
  }
  const simple = scalar(value);
  if (simple !== undefined) return simple;
  const inside = form.indent === undefined ? "" : `\n${form.indent.repeat(depth + 1)}`;
  const outside = form.indent === undefined ? "" : `\n${form.indent.repeat(depth)}`;
  const join = (open: string, parts: readonly string[], close: string): string =>
    parts.length === 0 ? open + close : open + inside + parts.join(form.itemSeparator + inside) + outside + close;
  if (isList(value) || value instanceof Tuple) {
    const items = isList(value) ? value : value.items;
    return join(
      "[",
      items.map((item) => toJson(item, form, depth + 1)),
      "]",
    );
  }
  if (value instanceof Map) {
    const entries = [...value];
    if (form.sorted) entries.sort(([a], [b]) => compareTexts(keyText(a), keyText(b)));
    const parts = entries.map(
      ([key, item]) => quoted(keyText(key), form.asciiOnly) + form.keySeparator + toJson(item, form, depth + 1),
    );
    return join("{", parts, "}");
  }
  throw new ValueError(`${typeOf(value)} cannot be written as JSON`);
}

/** A value of parsed JSON. A number that is written without a fraction and an exponent is an int. */
export function fromJson(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "bigint") return value;
  if (value instanceof WrittenNumber) return /^-?\d+$/.test(value.text) ? BigInt(value.text) : Number(value.text);
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object") return dictOf(Object.entries(value));
  throw new ValueError(`a ${typeof value} is no value of JSON`);
}

/**
 * A dict of an object's entries.
 * @throws {ValueError} where a name is a number: JavaScript's objects put such names first, so that the order of the file is lost
 */
export function dictOf(entries: readonly (readonly [string, unknown])[]): Dict {
  const number = entries.find(([key]) => /^(0|[1-9]\d{0,9})$/.test(key));
  if (number !== undefined && entries.length > 1) {
    throw new ValueError(
      `the order of fields is lost where one is named by a number, as ${number[0]}; name it otherwise`,
    );
  }
  return new Map(entries.map(([key, item]) => [key, fromJson(item)]));
}
