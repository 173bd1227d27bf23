/** Methods of Python's str, dict and list, as far as templates may call them: those that change a value are refused, as in transformers. */
import { bind, integer, optionalString, string } from "./arguments.js";
import { spendOnParts } from "./budget.js";
import { ValueError } from "./errors.js";
import { format } from "./format.js";
import * as text from "./text.js";
import {
  type Arguments,
  Callable,
  type Dict,
  equals,
  isList,
  iterate,
  keyOf,
  Markup,
  Tuple,
  typeOf,
  type Value,
  View,
} from "./values.js";

type Method<T> = (self: T, given: Arguments, name: string) => Value;

/** Part of a text from `start` to `end`, in characters, as the optional arguments of `find` and `startswith`. */
function part(self: string, start: Value, end: Value): { readonly text: string; readonly offset: number } {
  if (start === null && end === null) return { text: self, offset: 0 };
  const all = text.characters(self);
  const bound = (value: Value, preset: number): number => {
    if (value === null) return preset;
    const at = integer(value, "a position");
    return Math.min(all.length, at < 0 ? Math.max(0, all.length + at) : at);
  };
  const from = bound(start, 0);
  return { text: all.slice(from, bound(end, all.length)).join(""), offset: from };
}

const strip =
  (start: boolean, end: boolean): Method<string> =>
  (self, given, name) => {
    const [chars] = bind(name, given, [["chars", null]]);
    const set = optionalString(chars!, "chars");
    const left = start ? text.stripStart(self, set) : self;
    return end ? text.stripEnd(left, set) : left;
  };

const affix =
  (holds: (whole: string, part: string) => boolean): Method<string> =>
  (self, given, name) => {
    const [wanted, start, end] = bind(name, given, [["prefix"], ["start", null], ["end", null]]);
    const inside = part(self, start!, end!).text;
    const all = wanted instanceof Tuple ? wanted.items : [wanted!];
    return all.some((one) => holds(inside, string(one, `the argument of ${name}`)));
  };

const find =
  (last: boolean, required: boolean): Method<string> =>
  (self, given, name) => {
    const [sub, start, end] = bind(name, given, [["sub"], ["start", null], ["end", null]]);
    const inside = part(self, start!, end!);
    const wanted = string(sub!, "sub");
    const at = last ? inside.text.lastIndexOf(wanted) : inside.text.indexOf(wanted);
    if (at < 0 && required) throw new ValueError("substring not found");
    return at < 0 ? -1n : BigInt(inside.offset + text.lengthOf(inside.text.slice(0, at)));
  };

const splitter =
  (split: typeof text.split): Method<string> =>
  (self, given, name) => {
    const [sep, maxsplit] = bind(name, given, [
      ["sep", null],
      ["maxsplit", -1n],
    ]);
    const separator = optionalString(sep!, "sep");
    if (separator === "") throw new ValueError("empty separator");
    return split(self, separator, integer(maxsplit!, "maxsplit"));
  };

const partition =
  (last: boolean): Method<string> =>
  (self, given, name) => {
    const separator = string(bind(name, given, [["sep"]])[0]!, "sep");
    if (separator === "") throw new ValueError("empty separator");
    const at = last ? self.lastIndexOf(separator) : self.indexOf(separator);
    if (at < 0) return new Tuple(last ? ["", "", self] : [self, "", ""]);
    return new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
  };

const pad =
  (left: (room: number, width: number) => number): Method<string> =>
  (self, given, name) => {
    const [width, fill] = bind(name, given, [["width"], ["fillchar", " "]]);
    const wanted = integer(width!, "width");
    const room = Math.max(0, wanted - text.lengthOf(self));
    const before = left(room, wanted);
    return string(fill!, "fillchar").repeat(before) + self + string(fill!, "fillchar").repeat(room - before);
  };

const matches = (pattern: RegExp): Method<string> => plain((self) => pattern.test(self));

/** As Python's `str.center`: an odd room is wider on the left where the width is odd. */
export const center = pad((room, width) => Math.floor(room / 2) + (room & width & 1));

/** A method without arguments. */
const plain =
  <T>(change: (self: T) => Value): Method<T> =>
  (self, given, name) => {
    bind(name, given, []);
    return change(self);
  };

const STR: Readonly<Record<string, Method<string>>> = {
  upper: plain((self) => self.toUpperCase()),
  lower: plain((self) => self.toLowerCase()),
  casefold: plain((self) => self.toUpperCase().toLowerCase()),
  title: plain(text.titleText),
  capitalize: plain(text.capitalize),
  strip: strip(true, true),
  lstrip: strip(true, false),
  rstrip: strip(false, true),
  startswith: affix((whole, one) => whole.startsWith(one)),
  endswith: affix((whole, one) => whole.endsWith(one)),
  find: find(false, false),
  rfind: find(true, false),
  index: find(false, true),
  rindex: find(true, true),
  split: splitter(text.split),
  rsplit: splitter(text.splitFromEnd),
  partition: partition(false),
  rpartition: partition(true),
  splitlines: (self, given, name) => text.splitLines(self, bind(name, given, [["keepends", false]])[0] === true),
  replace(self, given, name) {
    const [old, fresh, count] = bind(name, given, [["old"], ["new"], ["count", -1n]]);
    return text.replaceText(self, string(old!, "old"), string(fresh!, "new"), integer(count!, "count"));
  },
  count(self, given, name) {
    const [sub, start, end] = bind(name, given, [["sub"], ["start", null], ["end", null]]);
    const inside = part(self, start!, end!).text;
    const wanted = string(sub!, "sub");
    return BigInt(wanted === "" ? text.lengthOf(inside) + 1 : inside.split(wanted).length - 1);
  },
  join(self, given, name) {
    const [items] = bind(name, given, [["iterable"]]);
    return iterate(items!)
      .map((item, at) => string(item, `item ${at} of join`))
      .join(self);
  },
  removeprefix(self, given, name) {
    const start = string(bind(name, given, [["prefix"]])[0]!, "prefix");
    return self.startsWith(start) ? self.slice(start.length) : self;
  },
  removesuffix(self, given, name) {
    const end = string(bind(name, given, [["suffix"]])[0]!, "suffix");
    return end !== "" && self.endsWith(end) ? self.slice(0, -end.length) : self;
  },
  zfill(self, given, name) {
    const width = integer(bind(name, given, [["width"]])[0]!, "width");
    const sign = /^[+-]/.exec(self)?.[0] ?? "";
    return sign + "0".repeat(Math.max(0, width - text.lengthOf(self))) + self.slice(sign.length);
  },
  ljust: pad(() => 0),
  rjust: pad((room) => room),
  center,
  format: (self, given) => format(self, given),
  isspace: plain(text.isSpace),
  isupper: plain((self) => text.hasCase(self, "upper")),
  islower: plain((self) => text.hasCase(self, "lower")),
  isdigit: matches(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]+$/u),
  isdecimal: matches(/^\p{Nd}+$/u),
  isnumeric: matches(/^\p{N}+$/u),
  isalpha: matches(/^\p{L}+$/u),
  isalnum: matches(/^[\p{L}\p{N}]+$/u),
  isascii: matches(/^[\0-\x7f]*$/),
};

const DICT: Readonly<Record<string, Method<Dict>>> = {
  get(self, given, name) {
    const [key, preset] = bind(name, given, [["key"], ["default", null]]);
    return self.get(keyOf(key!)) ?? (self.has(keyOf(key!)) ? null : preset!);
  },
  keys: plain((self) => new View("keys", iterate([...self.keys()]))),
  values: plain((self) => new View("values", iterate([...self.values()]))),
  items: plain((self) => new View("items", itemsOf(self))),
  copy: plain((self) => new Map(itemsOf(self).map(({ items }) => items as [Value, Value]))),
};

const LIST: Readonly<Record<string, Method<readonly Value[]>>> = {
  count(self, given, name) {
    const [wanted] = bind(name, given, [["value"]]);
    return BigInt(self.filter((item) => equals(item, wanted!)).length);
  },
  index(self, given, name) {
    const [wanted] = bind(name, given, [["value"]]);
    const at = self.findIndex((item) => equals(item, wanted!));
    if (at < 0) throw new ValueError("the value is not in the list");
    return BigInt(at);
  },
  copy: plain((self) => [...self]),
};

const NUMBER = ["real", "imag", "conjugate", "as_integer_ratio", "is_integer"];
const INT = [...NUMBER, "numerator", "denominator", "bit_length", "bit_count", "to_bytes", "from_bytes"];

/** Methods and fields that Python has and this has not, by type. Those of lists and dicts change them, which transformers refuses too. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  str: [
    "encode",
    "expandtabs",
    "format_map",
    "isidentifier",
    "isprintable",
    "istitle",
    "maketrans",
    "swapcase",
    "translate",
  ],
  int: INT,
  bool: INT,
  float: [...NUMBER, "hex", "fromhex"],
  function: ["name", "arguments", "catch_kwargs", "catch_varargs", "caller", "explicit_caller", "fromkeys"],
  range: ["start", "stop", "step", "count", "index"],
  dict: ["clear", "fromkeys", "pop", "popitem", "setdefault", "update"],
  list: ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
};

export function itemsOf(dict: Dict): Tuple[] {
  spendOnParts({ length: dict.size });
  return [...dict].map((entry) => new Tuple(entry));
}

function own<T>(methods: Readonly<Record<string, Method<T>>>, self: T, name: string): Callable | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return method && new Callable(name, (given) => method(self, given, name));
}

/**
 * A value's method, or undefined where Python has none of that name.
 * @throws {ValueError} for one that changes the value, or that is not supported
 */
export function methodOf(value: Value, name: string): Callable | undefined {
  if (OTHERS[typeOf(value)]?.includes(name)) {
    throw new ValueError(`${typeOf(value)}.${name} is not supported in a chat template`);
  }
  if (typeof value === "string") return own(STR, value, name);
  if (value instanceof Map) return own(DICT, value, name);
  if (isList(value)) return own(LIST, value, name);
  if (value instanceof Tuple && name !== "copy") return own(LIST, value.items, name);
  if (value instanceof Markup && Object.hasOwn(STR, name))
    throw new ValueError(`${name} of a safe text is not supported`);
  return undefined;
}
