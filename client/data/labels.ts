/** The completion that a row's label stands for, by the configuration's map. */
import { sameNumber } from "../../shared/base/exact-json.js";
import type { RowFormat } from "../../shared/config/format.js";
import { invalidData as fail } from "./faults.js";
import { isNumber, isScalar, show } from "./values.js";

/** The completion of a row's label; undefined where the row may be without one and is. */
export type LabelReader = (row: Readonly<Record<string, unknown>>, where: string) => string | undefined;

/**
 * A reader of labels. A label is compared as it is written: the text of a number is that of the file. A number that is not found so
 * is compared by its value, so that the labels 1 and 1.0 of JSON are the key 1; texts, and with them all cells of a CSV, are not.
 * @param labels completions by labels
 * @param required whether every row must have its label
 * @throws {KindredError} `invalid_data` naming `where`; the message names the fields that the row has, or the label that was meant
 */
export function labelReader(
  field: RowFormat["label"],
  labels: ReadonlyMap<string, string>,
  required: boolean,
): LabelReader {
  const keys = [...labels.keys()];
  const completionOf = (value: unknown): string | undefined => {
    const text = isScalar(value) ? String(value) : value;
    if (typeof text !== "string") return undefined;
    if (labels.has(text)) return labels.get(text);
    const equal = isNumber(value) ? keys.filter((key) => sameNumber(key, text)) : [];
    return equal.length === 1 ? labels.get(equal[0] as string) : undefined;
  };
  return (row, where) => {
    const fields = field === undefined ? ["label", "label_text"] : [field];
    const present = fields.filter((name) => Object.hasOwn(row, name));
    if (present.length === 0) {
      if (!required) return undefined;
      const known = Object.keys(row).map(show).join(", ") || "no fields";
      throw fail(
        where,
        `no field ${show(fields[0])} with the label; the row has ${known}; name the label's field by the option label`,
      );
    }
    for (const name of present) {
      const found = completionOf(row[name]);
      if (found !== undefined) return found;
    }
    const got = present.map((name) => `${name} ${show(row[name])}`).join(" and ");
    const near = present.flatMap((name) => nearKey(row[name], keys) ?? [])[0];
    const hint = near === undefined ? "" : `; ${show(near)} differs in its writing alone: write both alike`;
    throw fail(where, `${got} is not in the set of labels that choices gives: ${show(keys)}${hint}`);
  };
}

/** The key that differs from a label by white space, by case or by the writing of a number. */
function nearKey(value: unknown, keys: readonly string[]): string | undefined {
  if (!isScalar(value) && typeof value !== "string") return undefined;
  const text = String(value);
  const plain = (label: string): string => label.trim().toLowerCase();
  return keys.find((key) => plain(key) === plain(text) || sameNumber(key, text));
}
