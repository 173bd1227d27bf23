/** Python's operators on values, and how Jinja reads attributes and items. */
import { integer } from "./arguments.js";
import { bounded, boundedInt, MAX_ITEMS, power, spendOnParts, spendOnText } from "./budget.js";
import { ValueError } from "./errors.js";
import { percent } from "./format.js";
import { methodOf } from "./methods.js";
import { characters } from "./text.js";
import {
  Attributes,
  asNumber,
  compare,
  contains,
  equals,
  isList,
  isNumeric,
  keyOf,
  ListOfParts,
  Markup,
  Namespace,
  type Numeric,
  Range,
  Tuple,
  typeOf,
  Undefined,
  type Value,
} from "./values.js";

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&#34;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function integers(operator: string, a: bigint, b: bigint): bigint | number {
  if (b === 0n && ["/", "//", "%"].includes(operator)) throw new ValueError("division by zero");
  switch (operator) {
    case "+":
      return boundedInt(a + b);
    case "-":
      return boundedInt(a - b);
    case "*":
      return boundedInt(a * b);
    case "//":
      return floorDivide(a, b);
    case "%":
      return a - floorDivide(a, b) * b;
    case "**":
      if (b < 0n) return Number(a) ** Number(b);
      return power(a, b);
    default:
      return Number(a) / Number(b);
  }
}

function numbers(operator: string, x: Numeric, y: Numeric): bigint | number {
  const [left, right] = [asNumber(x), asNumber(y)];
  if (typeof left === "bigint" && typeof right === "bigint") return integers(operator, left, right);
  const [a, b] = [Number(left), Number(right)];
  if (b === 0 && ["/", "//", "%"].includes(operator)) throw new ValueError("division by zero");
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "//":
      return Math.floor(a / b);
    case "%": {
      const rest = a % b;
      return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
    }
    case "**":
      if (a < 0 && !Number.isInteger(b)) throw new ValueError("complex numbers are not supported");
      return a ** b;
    default:
      return a / b;
  }
}

function repeat(value: Value, times: Numeric): Value | undefined {
  const count = asNumber(times);
  if (typeof count !== "bigint") return undefined;
  const n = Math.max(0, Number(count));
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (value === "" || items?.length === 0) return value;
  if (typeof value === "string") {
    bounded(value.length * n);
    return value.repeat(n);
  }
  if (items === undefined) return undefined;
  bounded(items.length * n, MAX_ITEMS);
  spendOnParts({ length: items.length * n });
  const all = Array.from({ length: items.length * n }, (_, at) => items[at % items.length]!);
  return isList(value) ? all : new Tuple(all);
}

function add(left: Value, right: Value): Value | undefined {
  if (typeof left === "string" && typeof right === "string") {
    bounded(left.length + right.length);
    return left + right;
  }
  if (isList(left) && isList(right)) {
    bounded(left.length + right.length, MAX_ITEMS);
    return [...left, ...right];
  }
  if (left instanceof Tuple && right instanceof Tuple) {
    bounded(left.items.length + right.items.length, MAX_ITEMS);
    return new Tuple([...left.items, ...right.items]);
  }
  const html = (value: Value): string | undefined =>
    value instanceof Markup ? value.text : typeof value === "string" ? escaped(value) : undefined;
  if (left instanceof Markup || right instanceof Markup) {
    const [a, b] = [html(left), html(right)];
    if (a !== undefined && b !== undefined) {
      bounded(a.length + b.length);
      spendOnText(a + b);
      return new Markup(a + b);
    }
  }
  return undefined;
}

/** `left operator right`. @throws {ValueError} where Python raises an error */
export function binary(operator: string, left: Value, right: Value): Value {
  if (isNumeric(left) && isNumeric(right)) return numbers(operator, left, right);
  if (left instanceof Undefined) left.fail();
  if (operator === "%" && typeof left === "string") return percent(left, right);
  if (right instanceof Undefined) right.fail();
  let made: Value | undefined;
  if (operator === "+") made = add(left, right);
  if (operator === "*" && isNumeric(right)) made = repeat(left, right);
  if (operator === "*" && isNumeric(left)) made = repeat(right, left);
  for (const side of [left, right]) if (made === undefined && side instanceof ListOfParts) side.refuse();
  if (made === undefined) throw new ValueError(`${typeOf(left)} ${operator} ${typeOf(right)} has no meaning`);
  return made;
}

export function compares(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equals(left, right);
    case "!=":
      return !equals(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return compare(left, right) < 0;
    case "<=":
      return compare(left, right) <= 0;
    case ">":
      return compare(left, right) > 0;
    default:
      return compare(left, right) >= 0;
  }
}

function missing(object: Value, name: string): Undefined {
  return new Undefined(`a ${typeOf(object)} has no ${JSON.stringify(name)}`);
}

function attribute(object: Value, name: string): Value | undefined {
  const method = methodOf(object, name);
  if (method !== undefined) return method;
  if (object instanceof Namespace) return object.fields.get(name);
  return object instanceof Attributes ? object.get(name) : undefined;
}

/** `object.name`: an attribute, else an item. */
export function getAttribute(object: Value, name: string): Value {
  if (object instanceof Undefined) object.fail();
  const found = attribute(object, name);
  if (found !== undefined) return found;
  if (object instanceof Map && object.has(name)) return object.get(name)!;
  return missing(object, name);
}

/** `object[key]`: an item, else an attribute. */
export function getItem(object: Value, key: Value): Value {
  if (object instanceof Undefined) object.fail();
  if (object instanceof Map) {
    const found = key instanceof Undefined ? undefined : object.get(keyOf(key));
    if (found !== undefined) return found;
  } else if (typeof key === "bigint" || typeof key === "boolean") {
    if (object instanceof Markup) throw new ValueError("an item of a safe text is not supported");
    const items = listOf(object);
    const at = Number(asNumber(key));
    const item = items?.[at < 0 ? items.length + at : at];
    if (item !== undefined) return item;
  }
  if (typeof key === "string") {
    const found = attribute(object, key);
    if (found !== undefined) return found;
    return missing(object, key);
  }
  return new Undefined(`a ${typeOf(object)} has no item of that key`);
}

/** The items that an index counts. */
function listOf(value: Value): readonly Value[] | undefined {
  if (typeof value === "string") return characters(value);
  if (isList(value)) return value;
  return value instanceof Tuple || value instanceof Range ? value.items : undefined;
}

/** `object[start:stop:step]`; null stands for a bound that is not given. */
export function slice(object: Value, start: Value, stop: Value, step: Value): Value {
  if (object instanceof Undefined) object.fail();
  const items = listOf(object);
  if (items === undefined) throw new ValueError(`a ${typeOf(object)} has no slices`);
  spendOnParts(items);
  if (object instanceof Range) throw new ValueError("a slice of a range is not supported; slice a list of it");
  const by = step === null ? 1 : integer(step, "a slice's step");
  if (by === 0) throw new ValueError("a slice's step is 0");
  const lowest = by > 0 ? 0 : -1;
  const highest = by > 0 ? items.length : items.length - 1;
  const bound = (value: Value, preset: number): number => {
    if (value === null) return preset;
    const at = integer(value, "a slice's bound");
    return Math.min(highest, Math.max(lowest, at < 0 ? items.length + at : at));
  };
  const from = bound(start, by > 0 ? 0 : highest);
  const to = bound(stop, by > 0 ? highest : -1);
  const chosen: Value[] = [];
  for (let at = from; by > 0 ? at < to : at > to; at += by) chosen.push(items[at]!);
  if (typeof object === "string") return chosen.join("");
  return isList(object) ? chosen : new Tuple(chosen);
}
