/** Functions that every template has, as transformers configures Jinja. */
import { bind, integer, string } from "./arguments.js";
import { spend } from "./budget.js";
import { ValueError } from "./errors.js";
import { itemsOf } from "./methods.js";
import { strftime } from "./strftime.js";
import {
  type Arguments,
  Attributes,
  Callable,
  type Dict,
  iterate,
  keyOf,
  Namespace,
  Range,
  toText,
  type Value,
} from "./values.js";

/** The sandbox's bound. */
const MAX_RANGE = 100_000;

function range({ positional, named }: Arguments): Value {
  if (named.size > 0 || positional.length < 1 || positional.length > 3)
    throw new ValueError("range takes one to three ints");
  const numbers = positional.map((value) => integer(value, "an argument of range"));
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]!] : (numbers as [number, number, number?]);
  if (step === 0) throw new ValueError("the step of range is 0");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw new ValueError(`range is longer than ${MAX_RANGE}`);
  spend(length);
  const items = Array.from({ length }, (_, at) => BigInt(start + at * step));
  return new Range(items, `range(${[start, stop, ...(step === 1 ? [] : [step])].join(", ")})`);
}

/** `dict(...)` and `namespace(...)`: of a dict or of pairs, and of names. */
function fieldsOf(callee: string, { positional, named }: Arguments): Dict {
  if (positional.length > 1) throw new ValueError(`${callee} takes one argument without a name at most`);
  const fields: Dict = new Map();
  for (const source of positional) {
    const pairs = source instanceof Map ? itemsOf(source) : iterate(source);
    for (const pair of pairs) {
      const [key, value, ...more] = iterate(pair);
      if (key === undefined || value === undefined || more.length > 0) throw new ValueError(`${callee} needs pairs`);
      fields.set(keyOf(key), value);
    }
  }
  for (const [name, value] of named) fields.set(name, value);
  return fields;
}

class Cycler extends Attributes {
  private at = 0;

  constructor(private readonly items: readonly Value[]) {
    super();
  }

  override get(name: string): Value | undefined {
    if (name === "current") return this.items[this.at]!;
    const move = (to: () => number): Callable =>
      new Callable(`cycler.${name}`, (given) => {
        bind(`cycler.${name}`, given, []);
        const current = this.items[this.at]!;
        this.at = to();
        return name === "next" ? current : null;
      });
    if (name === "next") return move(() => (this.at + 1) % this.items.length);
    return name === "reset" ? move(() => 0) : undefined;
  }
}

/** @param now what `strftime_now` writes */
export function globalsAt(now: Date): ReadonlyMap<string, Value> {
  const functions: Readonly<Record<string, (given: Arguments) => Value>> = {
    range,
    dict: (given) => fieldsOf("dict", given),
    namespace(given) {
      const fields = fieldsOf("namespace", given);
      for (const name of fields.keys()) {
        if (typeof name === "string" && name.startsWith("_")) throw new ValueError(`a namespace has no field ${name}`);
      }
      return new Namespace(fields);
    },
    raise_exception(given) {
      throw new ValueError(toText(bind("raise_exception", given, [["message"]])[0]!));
    },
    strftime_now: (given) => strftime(now, string(bind("strftime_now", given, [["format"]])[0]!, "format")),
    cycler({ positional }) {
      if (positional.length === 0) throw new ValueError("cycler needs items");
      return new Cycler(positional);
    },
    joiner(given) {
      const [separator] = bind("joiner", given, [["sep", ", "]]);
      let used = false;
      return new Callable("joiner", () => {
        const first = !used;
        used = true;
        return first ? "" : separator!;
      });
    },
    lipsum() {
      throw new ValueError("lipsum is not supported: it writes random text");
    },
    self() {
      throw new ValueError("self is not supported");
    },
  };
  return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]));
}
