/**
 * Fields of a row that nothing reads. They are refused by name, so that none is dropped without a word: a weight, a system prompt or
 * an image would change what is learned. Fields that say where a row is from, and fields without a value, may pass.
 */
import { isObject } from "../../shared/base/json.js";
import { invalidData } from "./faults.js";
import { show } from "./values.js";

const PROVENANCE = new Set([
  ...["source", "dataset", "subset", "split", "category", "language", "lang", "url", "license"],
  ...["metadata", "meta", "timestamp", "created_at", "comment"],
]);
/** `id`, `_id`, `prompt_id`, `conversationId`, `idx`, `uuid` and their like. */
const IDENTIFIER = /^(.*_)?(id|idx|index|uid|uuid)$/i;
const CAMEL_CASE_IDENTIFIER = /[a-z\d](Id|ID)$/;
/** What pandas calls a table's index that it wrote to CSV and read again, or wrote to Parquet. */
const TABLE_INDEX = /^(Unnamed: \d+|__index_level_\d+__)$/;

/** Whether a field says which row it is and where it is from, and no more. */
export function isProvenance(field: string): boolean {
  return PROVENANCE.has(field) || [IDENTIFIER, CAMEL_CASE_IDENTIFIER, TABLE_INDEX].some((form) => form.test(field));
}

/** Whether a field has a value: null, an empty text, an empty list and an empty object are none. */
export function isGiven(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return (
    typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype || Object.keys(value).length > 0
  );
}

/** How a user leaves fields out. @param fields as the option `ignore` names them */
export function toIgnore(fields: readonly string[]): string {
  return `to leave it out, name it in ignore (--ignore ${fields.join(",")})`;
}

/** @throws {KindredError} `invalid_data` for a field that is not known, is no provenance, and has a value */
export function refuseOtherFields(
  row: Readonly<Record<string, unknown>>,
  known: readonly string[],
  where: string,
): void {
  const others = Object.keys(row).filter(
    (field) => !known.includes(field) && !isProvenance(field) && isGiven(row[field]),
  );
  const [other] = others;
  if (other === undefined) return;
  throw invalidData(
    where,
    `the field ${show(other)} is not read (value ${show(row[other])}); rows with ${known[0]} have ${known.join(", ")}; ` +
      `${toIgnore(others)}; to read it, give a template and a completion that name it`,
  );
}

const OF_MESSAGES = "messages.";

/**
 * A function that leaves fields out of rows, and out of their messages.
 * @param ignored names of fields; `messages.NAME` is a field of each message
 */
export function leavingOut(
  ignored: readonly string[],
): (row: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>> {
  const ofMessages = ignored
    .filter((name) => name.startsWith(OF_MESSAGES))
    .map((name) => name.slice(OF_MESSAGES.length));
  const without = (object: object, names: readonly string[]): Record<string, unknown> =>
    Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
  if (ignored.length === 0) return (row) => row;
  return (row) => {
    const kept = without(row, ignored);
    const { messages } = kept;
    if (ofMessages.length === 0 || !Array.isArray(messages)) return kept;
    return {
      ...kept,
      messages: messages.map((message) => (isObject(message) ? without(message, ofMessages) : message)),
    };
  };
}
