/** Jinja's filters, with the `tojson` of transformers. Those of web pages, and those that chat templates do not use, are not here. */
import { bind, integer, optionalString, string } from "./arguments.js";
import { bounded, MAX_DIGITS, MAX_ITEMS, spend, spendOnText } from "./budget.js";
import { ValueError } from "./errors.js";
import { percent } from "./format.js";
import { toJson } from "./json.js";
import { center, itemsOf } from "./methods.js";
import { binary, getAttribute, getItem } from "./operators.js";
import { passes } from "./tests.js";
import * as text from "./text.js";
import {
  type Arguments,
  asNumber,
  Callable,
  compare,
  equals,
  Generator,
  isList,
  isNumeric,
  isTrue,
  iterate,
  Markup,
  sizeOf,
  Tuple,
  toText,
  typeOf,
  Undefined,
  type Value,
} from "./values.js";

type Filter = (value: Value, given: Arguments, name: string) => Value;

/** A filter without arguments. */
const plain =
  (change: (value: Value) => Value): Filter =>
  (value, given, name) => {
    bind(name, given, []);
    return change(value);
  };

const onText = (change: (text: string) => Value): Filter => plain((value) => change(toText(value)));

/** A value's field for a filter: of a name with dots, its parts in turn; numbers count items. */
function fieldOf(value: Value, path: Value): Value {
  if (typeof path === "bigint") return getItem(value, path);
  const parts = string(path, "attribute").split(".");
  return parts.reduce<Value>((inner, part) => getItem(inner, /^\d+$/.test(part) ? BigInt(part) : part), value);
}

/** What a filter sorts or compares by: the item or its field; of a text its lower case, unless case counts. */
function sortKey(attribute: Value, caseSensitive: Value): (item: Value) => Value {
  return (item) => {
    const value = attribute === null ? item : fieldOf(item, attribute);
    return typeof value === "string" && !isTrue(caseSensitive) ? value.toLowerCase() : value;
  };
}

/** Sorted and stable, also where the order is reversed. */
function sorted(items: readonly Value[], keys: (item: Value) => readonly Value[], reverse: Value): Value[] {
  const sign = isTrue(reverse) ? -1 : 1;
  const keyed = items.map((item) => ({ item, key: new Tuple(keys(item)) }));
  if (keyed.length === 1) return [...items];
  return keyed.sort((a, b) => sign * compare(a.key, b.key)).map(({ item }) => item);
}

const extreme =
  (sign: 1 | -1): Filter =>
  (value, given, name) => {
    const [caseSensitive, attribute] = bind(name, given, [
      ["case_sensitive", false],
      ["attribute", null],
    ]);
    const key = sortKey(attribute!, caseSensitive!);
    const items = iterate(value);
    if (items.length === 0) return new Undefined("an empty sequence has no item");
    return items.reduce((best, item) => (sign * compare(key(item), key(best)) > 0 ? item : best));
  };

/** Items of a value for filters that take anything false, also None, for an empty list. */
function itemsIn(value: Value): readonly Value[] {
  return isTrue(value) ? iterate(value) : [];
}

/** `select`, `reject`, `selectattr` and `rejectattr`. */
const selection =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, { positional, named }, name) => {
    const [attribute, ...rest] = byAttribute ? positional : [null, ...positional];
    if (attribute === undefined) throw new ValueError(`${name} needs an attribute`);
    const [test, ...others] = rest;
    const chosen = itemsIn(value).filter((item) => {
      const tested = byAttribute ? fieldOf(item, attribute) : item;
      const holds =
        test === undefined
          ? isTrue(tested)
          : passes(string(test, "a test's name"), tested, { positional: others, named });
      return holds === wanted;
    });
    return new Generator(chosen);
  };

function map(value: Value, { positional, named }: Arguments, name: string): Value {
  const items = itemsIn(value);
  if (positional.length === 0 && named.has("attribute")) {
    const [attribute, preset] = bind(name, { positional, named }, [["attribute"], ["default", null]]);
    const fields = items.map((item) => {
      const field = fieldOf(item, attribute!);
      return field instanceof Undefined && preset !== null ? preset! : field;
    });
    return new Generator(fields);
  }
  const [filter, ...others] = positional;
  if (filter === undefined) throw new ValueError("map needs a filter's name or attribute");
  return new Generator(
    items.map((item) => applyFilter(string(filter, "a filter's name"), item, { positional: others, named })),
  );
}

function tojson(value: Value, given: Arguments, name: string): Value {
  const [asciiOnly, indent, separators, sortKeys] = bind(name, given, [
    ["ensure_ascii", false],
    ["indent", null],
    ["separators", null],
    ["sort_keys", false],
  ]);
  const spaces =
    indent === null ? undefined : typeof indent === "string" ? indent : " ".repeat(integer(indent!, "indent"));
  const [item, key] =
    separators === null
      ? [spaces === undefined ? ", " : ",", ": "]
      : iterate(separators!).map((one) => string(one, "a separator"));
  if (item === undefined || key === undefined) throw new ValueError("separators must be two texts");
  const form = { asciiOnly: isTrue(asciiOnly!), indent: spaces, sorted: isTrue(sortKeys!) };
  return toJson(value, { ...form, itemSeparator: item, keySeparator: key });
}

function indent(value: Value, given: Arguments, name: string): Value {
  const [width, first, blank] = bind(name, given, [
    ["width", 4n],
    ["first", false],
    ["blank", false],
  ]);
  const before = typeof width === "string" ? width : " ".repeat(Math.max(0, integer(width!, "width")));
  const lines = text.splitLines(`${string(value, "what indent changes")}\n`);
  const made = lines.map((line, at) => (at > 0 && (isTrue(blank!) || line !== "") ? before + line : line)).join("\n");
  return isTrue(first!) ? before + made : made;
}

function truncate(value: Value, given: Arguments, name: string): Value {
  const [length, killWords, end, leeway] = bind(name, given, [
    ["length", 255n],
    ["killwords", false],
    ["end", "..."],
    ["leeway", 5n],
  ]);
  const all = text.characters(string(value, "what truncate changes"));
  const most = integer(length!, "length");
  const mark = string(end!, "end");
  if (all.length <= most + integer(leeway!, "leeway")) return all.join("");
  const kept = all.slice(0, most - text.lengthOf(mark)).join("");
  return (isTrue(killWords!) ? kept : text.splitFromEnd(kept, " ", 1)[0]!) + mark;
}

/** The number of a text, or undefined. */
function floatOf(value: Value): number | undefined {
  if (value instanceof Undefined) value.fail();
  if (isNumeric(value)) return Number(asNumber(value));
  const digits = typeof value === "string" ? text.stripStart(text.stripEnd(value)) : "";
  if (/^[+-]?inf(inity)?$/i.test(digits)) return digits.startsWith("-") ? -Infinity : Infinity;
  if (/^[+-]?nan$/i.test(digits)) return Number.NaN;
  return /^[+-]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)(e[+-]?\d+)?$/i.test(digits)
    ? Number(digits.replaceAll("_", ""))
    : undefined;
}

function int(value: Value, given: Arguments, name: string): Value {
  const [preset, base] = bind(name, given, [
    ["default", 0n],
    ["base", 10n],
  ]);
  if (base !== 10n) throw new ValueError("int with a base is not supported");
  const digits = typeof value === "string" ? text.stripStart(text.stripEnd(value)) : "";
  if (digits.length <= MAX_DIGITS && /^[+-]?\d+(_\d+)*$/.test(digits))
    return BigInt(digits.replace("+", "").replaceAll("_", ""));
  if (typeof value === "bigint") return value;
  const number = floatOf(value);
  return number === undefined || !Number.isFinite(number) ? preset! : BigInt(Math.trunc(number));
}

function round(value: Value, given: Arguments, name: string): Value {
  const [precision, method] = bind(name, given, [
    ["precision", 0n],
    ["method", "common"],
  ]);
  if (!isNumeric(value)) throw new ValueError(`a ${typeOf(value)} cannot be rounded`);
  const places = integer(precision!, "precision");
  if (places < 0 || places > 15) throw new ValueError("a precision below 0 or above 15 is not supported");
  const number = Number(asNumber(value));
  if (method === "common") {
    if (typeof value !== "number") return asNumber(value);
    const near = number.toFixed(places);
    const tie = /^50*$/.test(
      Math.abs(number)
        .toFixed(Math.min(100, places + 60))
        .split(".")[1]!
        .slice(places),
    );
    if (!tie) return Number(near);
    const away = Number((BigInt(near.replace(".", "")) / 2n) * 2n);
    return away / 10 ** places; // Half to even, as Python rounds
  }
  if (method !== "ceil" && method !== "floor") throw new ValueError("method must be common, ceil or floor");
  return Math[method](number * 10 ** places) / 10 ** places;
}

function sort(value: Value, given: Arguments, name: string): Value {
  const [reverse, caseSensitive, attribute] = bind(name, given, [
    ["reverse", false],
    ["case_sensitive", false],
    ["attribute", null],
  ]);
  const paths = typeof attribute === "string" ? attribute.split(",") : [attribute!];
  const keys = paths.map((path) => sortKey(path, caseSensitive!));
  return sorted(iterate(value), (item) => keys.map((key) => key(item)), reverse!);
}

function dictsort(value: Value, given: Arguments, name: string): Value {
  const [caseSensitive, by, reverse] = bind(name, given, [
    ["case_sensitive", false],
    ["by", "key"],
    ["reverse", false],
  ]);
  if (!(value instanceof Map)) throw new ValueError(`dictsort needs a dict, got ${typeOf(value)}`);
  if (by !== "key" && by !== "value") throw new ValueError("by must be key or value");
  const key = sortKey(by === "key" ? 0n : 1n, caseSensitive!);
  return sorted(itemsOf(value), (item) => [key(item)], reverse!);
}

function unique(value: Value, given: Arguments, name: string): Value {
  const [caseSensitive, attribute] = bind(name, given, [
    ["case_sensitive", false],
    ["attribute", null],
  ]);
  const key = sortKey(attribute!, caseSensitive!);
  const seen: Value[] = [];
  const kept = iterate(value).filter((item) => {
    const own = key(item);
    if (isList(own) || own instanceof Map) throw new ValueError(`a ${typeOf(own)} cannot be compared by unique`);
    if (seen.some((other) => equals(other, own))) return false;
    seen.push(own);
    return true;
  });
  return new Generator(kept);
}

function batch(value: Value, given: Arguments, name: string): Value {
  const [count, fill] = bind(name, given, [["linecount"], ["fill_with", null]]);
  const size = integer(count!, "linecount");
  if (size < 1) throw new ValueError("linecount must be at least 1");
  const items = iterate(value);
  const rows = Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  );
  if (fill === null) return new Generator(rows);
  bounded(rows.length * size, MAX_ITEMS);
  return new Generator(rows.map((row) => [...row, ...Array<Value>(size - row.length).fill(fill!)]));
}

const reverse = plain((value) => {
  if (typeof value === "string") return [...text.characters(value)].reverse().join("");
  return new Generator([...iterate(value)].reverse());
});

function join(value: Value, given: Arguments, name: string): Value {
  const [separator, attribute] = bind(name, given, [
    ["d", ""],
    ["attribute", null],
  ]);
  const items = iterate(value).map((item) => toText(attribute === null ? item : fieldOf(item, attribute!)));
  return items.join(toText(separator!));
}

const FILTERS: Readonly<Record<string, Filter>> = {
  upper: onText((value) => value.toUpperCase()),
  lower: onText((value) => value.toLowerCase()),
  title: onText(text.titleWords),
  capitalize: onText(text.capitalize),
  string: (value) => (value instanceof Markup ? value : toText(value)),
  safe: (value) => new Markup(toText(value)),
  wordcount: onText((value) => BigInt(value.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)),
  trim(value, given, name) {
    const set = optionalString(bind(name, given, [["chars", null]])[0]!, "chars");
    return text.stripEnd(text.stripStart(toText(value), set), set);
  },
  center: (value, given, name) =>
    center(toText(value), { positional: [bind(name, given, [["width", 80n]])[0]!], named: new Map() }, name),
  replace(value, given, name) {
    const [old, fresh, count] = bind(name, given, [["old"], ["new"], ["count", null]]);
    const most = count === null ? -1 : integer(count!, "count");
    return text.replaceText(toText(value), toText(old!), toText(fresh!), most);
  },
  format(value, { positional, named }) {
    return percent(toText(value), named.size > 0 ? new Map(named) : new Tuple(positional));
  },
  indent,
  truncate,
  tojson,
  abs: plain((value) => {
    if (!isNumeric(value)) throw new ValueError(`a ${typeOf(value)} has no absolute value`);
    const number = asNumber(value);
    return number < 0 || Object.is(number, -0) ? -number : number;
  }),
  int,
  float(value, given, name) {
    const [preset] = bind(name, given, [["default", 0]]);
    return floatOf(value) ?? preset!;
  },
  round,
  sum(value, given, name) {
    const [attribute, start] = bind(name, given, [
      ["attribute", null],
      ["start", 0n],
    ]);
    if (typeof start === "string") throw new ValueError("sum adds no texts; use join");
    return iterate(value).reduce(
      (sum, item) => binary("+", sum, attribute === null ? item : fieldOf(item, attribute!)),
      start!,
    );
  },
  max: extreme(1),
  min: extreme(-1),
  length: plain(sizeOf),
  count: plain(sizeOf),
  list: plain((value) => [...iterate(value)]),
  first: plain((value) => {
    const first = value instanceof Generator ? value.next() : iterate(value)[0];
    return first === undefined ? new Undefined("an empty sequence has no item") : first;
  }),
  last: plain((value) => {
    if (value instanceof Generator) throw new ValueError("a generator has no last item");
    const last = iterate(value).at(-1);
    return last === undefined ? new Undefined("an empty sequence has no item") : last;
  }),
  reverse,
  sort,
  dictsort,
  unique,
  batch,
  join,
  map,
  select: selection(true, false),
  reject: selection(false, false),
  selectattr: selection(true, true),
  rejectattr: selection(false, true),
  items: plain((value) => {
    if (value instanceof Undefined) return new Generator([]);
    if (!(value instanceof Map)) throw new ValueError("items needs a dict");
    return new Generator(itemsOf(value));
  }),
  attr(value, given, name) {
    const field = string(bind(name, given, [["name"]])[0]!, "name");
    const found = getAttribute(value, field);
    // An item is no attribute: a dict has its methods alone.
    return value instanceof Map && !(found instanceof Callable)
      ? new Undefined(`a dict has no attribute ${field}`)
      : found;
  },
  default(value, given, name) {
    const [preset, boolean] = bind(name, given, [
      ["default_value", ""],
      ["boolean", false],
    ]);
    return value instanceof Undefined || (isTrue(boolean!) && !isTrue(value)) ? preset! : value;
  },
};

const ALIASES: Readonly<Record<string, string>> = { d: "default" };

export function isSupportedFilter(name: string): boolean {
  return Object.hasOwn(FILTERS, name) || Object.hasOwn(ALIASES, name);
}

/** @throws {ValueError} for a filter that is not known, and where Python raises an error */
export function applyFilter(name: string, value: Value, given: Arguments): Value {
  if (!isSupportedFilter(name)) throw new ValueError(`the filter ${name} is not supported`);
  spend();
  const made = FILTERS[ALIASES[name] ?? name]!(value, given, name);
  for (const one of [value, made]) if (typeof one === "string") spendOnText(one);
  return made;
}
