/**
 * What a schema found wrong, as one line for the user: the field's path, what it must be, what it is, and for an unknown
 * key the one that was probably meant. Knows zod; knows no file.
 */
import { z } from "zod";
import { nearest } from "./suggest.js";

export type Path = readonly PropertyKey[];

/** One mistake. */
export interface Mistake {
  /** Of the field, or of the unknown key itself. */
  readonly path: Path;
  /** "training.epoch is not an option; did you mean epochs?" */
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

/** Without defaults, unions and the like around them: the shapes of objects that a schema may take. */
function shapesOf(schema: z.core.$ZodType): Record<string, z.core.$ZodType>[] {
  if (schema instanceof z.ZodObject) return [schema.shape];
  if (schema instanceof z.ZodArray) return shapesOf(schema.element);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => shapesOf(option));
  if (schema instanceof z.ZodPipe) return shapesOf(schema.in);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return shapesOf(schema.unwrap());
  }
  return [];
}

/** Every key of the schema by its path from the top: `training.epochs`. */
function keysOf(schema: z.core.$ZodType, above: string): Map<string, string> {
  const keys = new Map<string, string>();
  for (const shape of shapesOf(schema)) {
    for (const [key, inner] of Object.entries(shape)) {
      const path = above === "" ? key : `${above}.${key}`;
      keys.set(path, key);
      for (const [deeper, name] of keysOf(inner, path)) keys.set(deeper, name);
    }
  }
  return keys;
}

function unknownKey(schema: z.core.$ZodType, path: Path, key: string, input: unknown): string {
  const all = keysOf(schema, "");
  const names = path.filter((part) => typeof part === "string");
  const above = names.length === 0 ? "" : `${names.join(".")}.`;
  const here = [...all].filter(([full, name]) => full === `${above}${name}`).map(([, name]) => name);
  if (here.includes(key)) {
    // Known, but not beside this one's kind.
    const kind = valueAt(input, [...path, "kind"]);
    return `${pathText([...path, key])} is of another kind; ${above}kind is ${kind === undefined ? "not given" : shown(kind)}`;
  }
  const near = nearest(key, here);
  // A key of another block, written one level too high or too low.
  const foreign = near === undefined ? nearest(key, [...new Set(all.values())]) : undefined;
  const meant = near ?? [...all].find(([, name]) => name === foreign)?.[0];
  const hint = meant === undefined ? `; known here: ${here.join(", ")}` : `; did you mean ${meant}?`;
  return `${pathText([...path, key])} is not an option${hint}`;
}

const TYPES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  object: "a map of options",
  record: "a map",
};

function mustBe(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.map(String).join(" or ")}`;
    case "too_small":
      if (issue.origin === "string") return "must not be empty";
      if (issue.origin === "array")
        return `must have at least ${issue.minimum} entr${issue.minimum === 1 ? "y" : "ies"}`;
      return `must be ${issue.inclusive ? "at least" : "above"} ${issue.minimum}`;
    case "too_big":
      if (issue.origin === "string") return `must have at most ${issue.maximum} characters`;
      if (issue.origin === "array") return `must have at most ${issue.maximum} entries`;
      return `must be ${issue.inclusive ? "at most" : "below"} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** The schema's issues as mistakes, unknown keys first: a key that is not known says most about what was meant. */
export function mistakesOf(schema: z.core.$ZodType, issues: readonly z.core.$ZodIssue[], input: unknown): Mistake[] {
  const mistakes = issues.flatMap((issue): Mistake[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        message: unknownKey(schema, issue.path, key, input),
        key: true,
      }));
    }
    if (issue.code === "invalid_union") {
      // Where one branch took the value for its own kind and found a fault deeper in, that fault is the message.
      const deeper = issue.errors.find((branch) =>
        branch.every(
          (inner) => inner.path.length > 0 || inner.code === "unrecognized_keys" || inner.code === "too_small",
        ),
      );
      if (deeper !== undefined) {
        const inner = deeper.map((found) => ({ ...found, path: [...issue.path, ...found.path] }));
        const found = mistakesOf(schema, inner, input);
        if (found.some((mistake) => mistake.path.length > issue.path.length)) return found;
      }
    }
    const value = valueAt(input, issue.path);
    const name = pathText(issue.path);
    if (value === undefined)
      return [{ path: issue.path, message: `${name} is missing: it ${mustBe(issue)}`, key: false }];
    const subject = name === "" ? "the configuration" : name;
    return [{ path: issue.path, message: `${subject} ${mustBe(issue)}, got ${shown(value)}`, key: false }];
  });
  return [...mistakes.filter((mistake) => mistake.key), ...mistakes.filter((mistake) => !mistake.key)];
}
