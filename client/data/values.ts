/** Values of rows as a reader gives them: what is a number, what may stand for a text, and how a message shows them. */
import { WrittenNumber } from "../../shared/base/exact-json.js";

/** A value for a message: short, and on one line. Values of a user's reader may be anything, also what JSON cannot hold. */
export function show(value: unknown): string {
  let text: string;
  try {
    text = isNumber(value) ? String(value) : (JSON.stringify(value) ?? String(value));
  } catch {
    text = `a value of type ${typeof value}`;
  }
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** Of JSON, as a double or as it is written; 64-bit ones of column formats too. */
export function isNumber(value: unknown): value is number | bigint | WrittenNumber {
  return typeof value === "number" || typeof value === "bigint" || value instanceof WrittenNumber;
}

/** Numbers and booleans may stand where a text is asked for. A number's text is that of the file. */
export function isScalar(value: unknown): value is number | bigint | boolean | WrittenNumber {
  return typeof value === "boolean" || isNumber(value);
}
