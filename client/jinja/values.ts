/**
 * Values of templates as Python has them. An int is a bigint, a float is a number, None is null; a str is a string, a list an array,
 * a dict a Map. What else Python has is a class here.
 */
import { bounded, MAX_ITEMS, spend, spendOnParts, spendOnText } from "./budget.js";
import { ValueError } from "./errors.js";
import { characters, compareTexts, lengthOf, literal } from "./text.js";

export type Dict = Map<Value, Value>;

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Dict
  | Undefined
  | Tuple
  | View
  | Range
  | Generator
  | Markup
  | Namespace
  | Callable
  | Attributes;

/** A name or field that is not there. It is empty and false, and most other uses of it are errors. */
export class Undefined {
  /** @param message what is not there, as a sentence */
  constructor(private readonly message: string) {}

  fail(): never {
    throw new ValueError(this.message);
  }
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** The keys, values or items of a dict. */
export class View {
  constructor(
    readonly kind: "keys" | "values" | "items",
    readonly items: readonly Value[],
  ) {}
}

/** What `range` gives. */
export class Range {
  /** @param notation how Python writes it */
  constructor(
    readonly items: readonly bigint[],
    readonly notation: string,
  ) {}
}

/** Values that can be read once, as those that the filters `map` and `select` give. */
export class Generator {
  private at = 0;

  constructor(private readonly items: readonly Value[]) {}

  rest(): readonly Value[] {
    const left = this.items.slice(this.at);
    this.at = this.items.length;
    return left;
  }

  next(): Value | undefined {
    return this.at < this.items.length ? this.items[this.at++] : undefined;
  }
}

/** A text that the filter `safe` marks as HTML. */
export class Markup {
  constructor(readonly text: string) {}
}

export class Namespace {
  readonly fields: Dict;

  constructor(fields: ReadonlyMap<Value, Value>) {
    this.fields = new Map(fields);
  }
}

export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, a method or a macro. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (given: Arguments) => Value,
  ) {}
}

/** An object with fields and nothing else: the variable `loop`. */
export abstract class Attributes {
  abstract get(name: string): Value | undefined;
}

/** A dict that knows which of its fields were read. */
export class WatchedDict extends Map<Value, Value> {
  private readonly read = new Set<Value>();
  private readAll = false;

  wasRead(name: string): boolean {
    return this.readAll || this.read.has(name);
  }

  override get(name: Value): Value | undefined {
    this.read.add(name);
    return super.get(name);
  }

  override has(name: Value): boolean {
    this.read.add(name);
    return super.has(name);
  }

  override keys(): MapIterator<Value> {
    this.readAll = true;
    return super.keys();
  }

  override values(): MapIterator<Value> {
    this.readAll = true;
    return super.values();
  }

  override entries(): MapIterator<[Value, Value]> {
    this.readAll = true;
    return super.entries();
  }

  override [Symbol.iterator](): MapIterator<[Value, Value]> {
    return this.entries();
  }
}

/** A list that must not be written as one text, because the template would write Python's notation of it. */
export class ListOfParts extends Array<Value> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** Where it stands, for messages: `messages[0].content`. */
  private field = "a value";

  static at(field: string, parts: readonly Value[]): ListOfParts {
    const list = new ListOfParts();
    list.push(...parts);
    list.field = field;
    return list;
  }

  refuse(): never {
    throw new ValueError(`${this.field} is a list of parts, and the template writes it as one text; give a text`);
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The name of Python's type. */
export function typeOf(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (isList(value)) return "list";
  if (value instanceof Map) return "dict";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof View) return `dict_${value.kind}`;
  if (value instanceof Range) return "range";
  if (value instanceof Callable) return "function";
  return value.constructor.name;
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "bigint") return value !== 0n;
  if (typeof value === "object") {
    if (isList(value)) return value.length > 0;
    if (value instanceof Map) return value.size > 0;
    if (value instanceof Tuple || value instanceof View || value instanceof Range) return value.items.length > 0;
    return value instanceof Markup ? value.text !== "" : true;
  }
  return Boolean(value);
}

export type Numeric = bigint | number | boolean;

export function isNumeric(value: Value): value is Numeric {
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
}

/** A number's value where it counts as an int, also of True and False. */
export function asNumber(value: Numeric): bigint | number {
  return typeof value === "boolean" ? BigInt(value) : value;
}

/** A dict's key. A number has one, whatever its type. */
export function keyOf(value: Value): Value {
  if (typeof value === "string" || value === null || typeof value === "bigint") return value;
  if (isNumeric(value)) {
    const number = asNumber(value);
    return typeof number === "number" && Number.isInteger(number) ? BigInt(number) : number;
  }
  throw new ValueError(`unsupported key of type ${typeOf(value)}`);
}

function equalLists(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, index) => equals(item, b[index]!));
}

export function equals(a: Value, b: Value): boolean {
  spend();
  if (isNumeric(a) && isNumeric(b)) return compare(a, b) === 0;
  if (a instanceof Markup) return equals(a.text, b);
  if (b instanceof Markup) return equals(a, b.text);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (typeof a === "string") spendOnText(a);
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return a === b;
  if (isList(a)) return isList(b) && equalLists(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && equalLists(a.items, b.items);
  if (a instanceof Range) return b instanceof Range && equalLists(a.items, b.items);
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false;
    return [...a].every(([key, item]) => b.has(key) && equals(item, b.get(key)!));
  }
  return a === b;
}

/** Negative where a is before b, 0 where neither is. NaN where a float is NaN. @throws {ValueError} where Python has no order */
export function compare(a: Value, b: Value): number {
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = [asNumber(a), asNumber(b)];
    if (x < y) return -1;
    if (x > y) return 1;
    return Number.isNaN(Number(x)) || Number.isNaN(Number(y)) ? Number.NaN : 0;
  }
  spend();
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  const lists = isList(a) && isList(b) ? [a, b] : a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : [];
  const [x, y] = lists;
  if (x !== undefined && y !== undefined) {
    const at = x.findIndex((item, index) => index >= y.length || !equals(item, y[index]!));
    return at < 0 || at >= y.length ? x.length - y.length : compare(x[at]!, y[at]!);
  }
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  throw new ValueError(`${typeOf(a)} and ${typeOf(b)} have no order`);
}

/** The values that a loop over a value has. */
export function iterate(value: Value): readonly Value[] {
  if (typeof value === "string") bounded(value.length, MAX_ITEMS);
  const items = partsOf(value);
  spendOnParts(items);
  return items;
}

function partsOf(value: Value): readonly Value[] {
  if (typeof value === "string") return characters(value);
  if (isList(value)) return value;
  if (value instanceof Tuple || value instanceof View || value instanceof Range) return value.items;
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Generator) return value.rest();
  if (value instanceof Undefined) return [];
  if (value instanceof Markup) return characters(value.text);
  throw new ValueError(`${typeOf(value)} is not iterable`);
}

export function sizeOf(value: Value): bigint {
  if (typeof value === "string") return BigInt(lengthOf(value));
  if (value instanceof Map) return BigInt(value.size);
  if (value === null || typeof value !== "object" || value instanceof Generator || value instanceof Attributes) {
    throw new ValueError(`${typeOf(value)} has no length`);
  }
  return BigInt(iterate(value).length);
}

/** Python's `item in value`. */
export function contains(value: Value, item: Value): boolean {
  if (value instanceof Markup) return contains(value.text, item);
  if (typeof value === "string") {
    spendOnText(value);
    if (item instanceof Markup) return value.includes(item.text);
    if (typeof item !== "string") throw new ValueError(`a str holds no ${typeOf(item)}`);
    return value.includes(item);
  }
  if (value instanceof Map) return value.has(keyOf(item));
  return iterate(value).some((other) => equals(other, item));
}

/** `repr` of a float: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const plain = Object.is(value, -0)
    ? "-0"
    : value.toFixed(Math.max(0, (digits.split(".")[1]?.length ?? 0) - exponent));
  return plain.includes(".") ? plain : `${plain}.0`;
}

/** Python's `repr`. */
export function notation(value: Value): string {
  spend();
  if (typeof value === "string") return literal(value);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof ListOfParts) value.refuse();
  if (isList(value)) return `[${value.map(notation).join(", ")}]`;
  if (value instanceof Tuple) {
    return value.items.length === 1 ? `(${notation(value.items[0]!)},)` : `(${value.items.map(notation).join(", ")})`;
  }
  if (value instanceof Map) {
    return `{${[...value].map(([key, item]) => `${notation(key)}: ${notation(item)}`).join(", ")}}`;
  }
  if (value instanceof View) return `dict_${value.kind}(${notation(value.items)})`;
  if (value instanceof Markup) return `Markup(${literal(value.text)})`;
  return toText(value);
}

/** Python's `str`: what `{{ value }}` writes. */
export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return floatText(value);
  if (value instanceof Undefined) return "";
  if (value instanceof Markup) return value.text;
  if (value instanceof Range) return value.notation;
  if (isList(value) || value instanceof Map || value instanceof Tuple || value instanceof View) return notation(value);
  throw new ValueError(`a value of type ${typeOf(value)} cannot be written`);
}
