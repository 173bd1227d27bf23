/**
 * What an option takes, in words, from its JSON schema: "auto or a whole number from 1 to 100000". Error messages and the
 * documentation use the same words. Knows JSON schema (2020-12), as far as configurations use it.
 */

export interface JsonSchema {
  readonly type?: string;
  /** A name of the values for people, in place of words made of the bounds. */
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  /** Of a block with a kind: the first is the block without one. */
  readonly oneOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
}

/** "a, b or c" */
export function either(words: readonly string[]): string {
  const distinct = [...new Set(words)];
  const last = distinct.pop() ?? "";
  return distinct.length === 0 ? last : `${distinct.join(", ")} or ${last}`;
}

/** A schema's alternatives, at any depth; itself where it has none. */
export function alternatives(schema: JsonSchema): JsonSchema[] {
  const own = schema.anyOf ?? schema.oneOf;
  return own === undefined || schema.title !== undefined ? [schema] : own.flatMap(alternatives);
}

/** " from 1 to 10", " of at least 0", " above 0 and at most 10"; nothing where there is no bound. */
function range({ minimum, exclusiveMinimum: above, maximum, exclusiveMaximum: below }: JsonSchema): string {
  // A whole number without a bound of its own is bounded by what a double holds exactly.
  const least = minimum === -Number.MAX_SAFE_INTEGER ? undefined : minimum;
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`;
  if (least !== undefined && below !== undefined) return ` from ${least} to below ${below}`;
  const bounds = [
    ...(least === undefined ? [] : [`of at least ${least}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(most === undefined ? [] : [`${above === undefined ? "of " : ""}at most ${most}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ];
  return bounds.length === 0 ? "" : ` ${bounds.join(" and ")}`;
}

function listWords({ minItems = 0, maxItems, items = {} }: JsonSchema): string {
  const values = items.enum;
  if (values !== undefined) return `a list of ${either(values.map(String))}`;
  const count =
    maxItems === undefined
      ? minItems > 0
        ? ` of at least ${minItems}`
        : ""
      : minItems > 0
        ? ` of ${minItems} to ${maxItems}`
        : ` of at most ${maxItems}`;
  return `a list${count}${count === "" ? ", each entry" : " entries, each"} ${wordsOf(items)}`;
}

/** The values that a schema takes. */
export function wordsOf(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title;
  const parts = alternatives(schema);
  if (parts.length > 1) return either(parts.flatMap((part) => part.enum?.map(String) ?? [wordsOf(part)]));
  if (parts[0] !== undefined && parts[0] !== schema) return wordsOf(parts[0]);
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum !== undefined) return either(schema.enum.map(String));
  switch (schema.type) {
    case "integer":
      return `a whole number${range(schema)}`;
    case "number":
      return `a number${range(schema)}`;
    case "boolean":
      return "true or false";
    case "string": {
      const { minLength = 0, maxLength } = schema;
      if (maxLength !== undefined) return `a string of ${minLength} to ${maxLength} characters`;
      return minLength > 0 ? "a string that is not empty" : "a string";
    }
    case "array":
      return listWords(schema);
    case "object":
      return schema.properties === undefined ? "a map" : "a map of options";
    default:
      return "a value";
  }
}

/** The schemas that a path may lead to: more than one below a block with kinds. */
export function schemasAt(schema: JsonSchema, path: readonly PropertyKey[]): JsonSchema[] {
  const [first, ...rest] = path;
  if (first === undefined) return [schema];
  const parts = schema.anyOf ?? schema.oneOf ?? [schema];
  return parts.flatMap((part): JsonSchema[] => {
    if (part !== schema && (part.anyOf ?? part.oneOf) !== undefined) return schemasAt(part, path);
    if (typeof first === "number") return part.items === undefined ? [] : schemasAt(part.items, rest);
    const own =
      part.properties !== undefined && Object.hasOwn(part.properties, first)
        ? part.properties[String(first)]
        : undefined;
    const inner = own ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : undefined);
    return inner === undefined ? [] : schemasAt(inner, rest);
  });
}

/** What a field may be, in words; "a value" where the path leads nowhere. */
export function expectedAt(schema: JsonSchema, path: readonly PropertyKey[]): string {
  const found = schemasAt(schema, path);
  return found.length === 0 ? "a value" : wordsOf({ anyOf: found });
}
