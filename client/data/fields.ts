/**
 * Fields of a row that nothing reads. They are refused by name, so that none is dropped without a word: a weight, a system prompt or
 * an image would change what is learned. Fields that say where a row is from, and fields without a value, may pass.
 */
import { KindredError } from "../../shared/base/errors.js";
import { show } from "./values.js";

const PROVENANCE = new Set([
  ...["source", "dataset", "subset", "split", "category", "language", "lang", "url", "license"],
  ...["metadata", "meta", "timestamp", "created_at", "comment"],
]);
/** `id`, `_id`, `prompt_id`, `idx`, `uuid` and their like. */
const IDENTIFIER = /^(.*_)?(id|idx|index|uid|uuid)$/;

/** Whether a field says which row it is and where it is from, and no more. */
export function isProvenance(field: string): boolean {
  return PROVENANCE.has(field) || IDENTIFIER.test(field);
}

/** Whether a field has a value: null, an empty text, an empty list and an empty object are none. */
export function isGiven(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return (
    typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype || Object.keys(value).length > 0
  );
}

/** @throws {KindredError} `invalid_data` for a field that is not known, is no provenance, and has a value */
export function refuseOtherFields(
  row: Readonly<Record<string, unknown>>,
  known: readonly string[],
  where: string,
): void {
  const other = Object.keys(row).find((field) => !known.includes(field) && !isProvenance(field) && isGiven(row[field]));
  if (other === undefined) return;
  throw new KindredError(
    "invalid_data",
    `${where}: the field ${show(other)} is not read (value ${show(row[other])}); rows with ${known[0]} have ${known.join(", ")}; ` +
      "remove it, or give a template and a completion, which name the fields that they read",
    { where },
  );
}
