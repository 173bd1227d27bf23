/**
 * What a schema found wrong, as one line for the user: `FIELD: problem; expected E, got G; do F`. An unknown key is told with
 * the known one that was probably meant. Knows zod; knows no file.
 */
import { z } from "zod";
import { nearest } from "./suggest.js";
import { expectedAt, type JsonSchema, schemasAt } from "./words.js";

export type Path = readonly PropertyKey[];

/** One mistake. */
export interface Mistake {
  /** Of the field, or of the unknown key itself. */
  readonly path: Path;
  /** "training.epoch: unknown option; did you mean training.epochs?" */
  readonly message: string;
  /** True where the key is the mistake, not its value. */
  readonly key: boolean;
}

/** `training.epochs`, `population[2].name` */
export function pathText(path: Path): string {
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index > 0 ? "." : ""}${String(part)}`))
    .join("");
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  // JSON has no NaN and no infinity.
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}

/** Every option of the schema by its path from the top, without indices: `training.epochs` -> `epochs`. */
function keysOf(schema: JsonSchema, above = ""): Map<string, string> {
  const keys = new Map<string, string>();
  for (const part of [schema, ...(schema.anyOf ?? schema.oneOf ?? [])]) {
    if (part.items !== undefined) for (const [path, key] of keysOf(part.items, above)) keys.set(path, key);
    for (const [key, inner] of Object.entries(part.properties ?? {})) {
      const path = above === "" ? key : `${above}.${key}`;
      keys.set(path, key);
      for (const [deeper, name] of keysOf(inner, path)) keys.set(deeper, name);
    }
  }
  return keys;
}

/** Options of earlier versions, and what does their work now. */
const REPLACED: Readonly<Record<string, string>> = {
  "training.server": "training.strategy: {kind: fedadam, momentum: 0.9}",
};

function unknownKey(schema: JsonSchema, path: Path, key: string, input: unknown): string {
  const field = pathText([...path, key]);
  const replacement = REPLACED[field];
  if (replacement !== undefined) return `${field}: option of an earlier version; write ${replacement}`;
  const here = [...new Set(schemasAt(schema, path).flatMap((block) => [...directKeys(block)]))];
  const prefix = path.length === 0 ? "" : `${pathText(path)}.`;
  if (here.includes(key)) {
    // Known, but not beside this block's kind.
    const kind = valueAt(input, [...path, "kind"]);
    const given = kind === undefined ? "not given" : shown(kind);
    return `${field}: option of another kind; ${prefix}kind is ${given}; remove ${key} or change ${prefix}kind`;
  }
  const near = nearest(key, here);
  if (near !== undefined) return `${field}: unknown option; did you mean ${prefix}${near}?`;
  // A key of another block, written one level too high or too low.
  const all = keysOf(schema);
  const elsewhere = nearest(key, [...new Set(all.values())]);
  const meant = [...all].find(([, name]) => name === elsewhere)?.[0];
  if (meant !== undefined) return `${field}: unknown option; did you mean ${meant}?`;
  return `${field}: unknown option; expected one of ${here.join(", ")}; remove it`;
}

function directKeys(schema: JsonSchema): string[] {
  const own = Object.keys(schema.properties ?? {});
  return [...own, ...(schema.anyOf ?? schema.oneOf ?? []).flatMap(directKeys)];
}

/** What is wrong with a value, in a few words. */
function problemOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return "wrong type";
    case "invalid_value":
      return "unknown value";
    case "too_small":
      if (issue.origin === "string") return "empty";
      return issue.origin === "array" ? "too few entries" : "too small";
    case "too_big":
      if (issue.origin === "string") return "too long";
      return issue.origin === "array" ? "too many entries" : "too large";
    case "invalid_union": {
      const faults = issue.errors.flat();
      // One branch took the type, and found it beyond its bounds.
      const bound = faults.find(({ code, path }) => path.length === 0 && (code === "too_big" || code === "too_small"));
      if (bound !== undefined) return problemOf(bound);
      return faults.length > 0 && faults.every(({ code }) => code === "invalid_type") ? "wrong type" : "unknown value";
    }
    default:
      return "wrong value";
  }
}

/** What the user may do, where the schema says so. */
function adviceOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "custom" && typeof issue.params?.advice === "string") return `; ${issue.params.advice}`;
  // Where a block's kind is not known, the message is the schema's own advice, or zod's default.
  if (issue.code === "invalid_union" && issue.discriminator !== undefined && !/^Invalid /.test(issue.message))
    return `; ${issue.message}`;
  return "";
}

function mistakeOf(schema: JsonSchema, issue: z.core.$ZodIssue, input: unknown, written: Written): Mistake {
  const { path } = issue;
  const field = path.length === 0 ? "the configuration" : pathText(path);
  const value = valueAt(input, path);
  const given = written(path) ?? shown(value);
  if (issue.code === "custom") {
    const got = issue.message.includes("expected") ? `, got ${given}` : `; got ${given}`;
    return { path, message: `${field}: ${issue.message}${got}${adviceOf(issue)}`, key: false };
  }
  const expected = expectedAt(schema, path);
  if (value === undefined) return { path, message: `${field}: missing; expected ${expected}; add it`, key: false };
  const message = `${field}: ${problemOf(issue)}; expected ${expected}, got ${given}${adviceOf(issue)}`;
  return { path, message, key: false };
}

/** The faults deeper in, where one branch of a union took the value for its own kind. */
function deeperIssues(issue: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] {
  const branch = issue.errors.find((faults) =>
    faults.every(({ path, code }) => path.length > 0 || code === "unrecognized_keys" || code === "too_small"),
  );
  return (branch ?? []).map((found) => ({ ...found, path: [...issue.path, ...found.path] }));
}

/** The text that a file has for a value, where it says more than the value: ".inf", "1e400". */
type Written = (path: Path) => string | undefined;

/** The schema's issues as mistakes, unknown keys first: a key that is not known says most about what was meant. */
export function mistakesOf(
  schema: z.core.$ZodType,
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  written: Written = () => undefined,
): Mistake[] {
  const json = z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
  const told = (issue: z.core.$ZodIssue): Mistake[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: unknownKey(json, issue.path, key, input),
        key: true,
      }));
    }
    if (issue.code === "invalid_union") {
      const found = deeperIssues(issue).flatMap(told);
      if (found.some(({ path }) => path.length > issue.path.length)) return found;
    }
    return [mistakeOf(json, issue, input, written)];
  };
  const mistakes = issues.flatMap(told);
  return [...mistakes.filter(({ key }) => key), ...mistakes.filter(({ key }) => !key)];
}
