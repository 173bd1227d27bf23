/** Python's two ways of filling values into a text: `%` and `str.format`. Only their plain forms are known. */
import { ValueError } from "./errors.js";
import { type Arguments, asNumber, isNumeric, notation, Tuple, toText, typeOf, type Value } from "./values.js";

function integerText(value: Value): string {
  if (!isNumeric(value)) throw new ValueError(`%d needs a number, got ${typeOf(value)}`);
  return BigInt(Math.trunc(Number(asNumber(value)))).toString();
}

/** `text % value`, with `%s`, `%r`, `%d`, `%i` and `%%`, and names in parentheses. */
export function percent(text: string, value: Value): string {
  const items = value instanceof Tuple ? value.items : [value];
  let at = 0;
  const made = text.replace(/%(?:\(([^()]*)\))?(.?)/gs, (all, name: string | undefined, kind: string) => {
    if (kind === "%" && name === undefined) return "%";
    let item: Value | undefined;
    if (name === undefined) item = items[at++];
    else if (value instanceof Map) item = value.get(name);
    if (item === undefined) throw new ValueError(`${JSON.stringify(all)} has no value`);
    if (kind === "s") return toText(item);
    if (kind === "r") return notation(item);
    if (kind === "d" || kind === "i") return integerText(item);
    throw new ValueError(`the format ${JSON.stringify(all)} is not supported`);
  });
  if (at < items.length && !(value instanceof Map)) throw new ValueError("% has more values than its text has places");
  return made;
}

/** `text.format(...)`, with places without a form: `{}`, `{0}`, `{name}`. */
export function format(text: string, { positional, named }: Arguments): string {
  let next = 0;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (all, place: string | undefined) => {
    if (all === "{{") return "{";
    if (all === "}}") return "}";
    if (place === undefined) throw new ValueError(`a single ${all} in a text to be formatted`);
    if (!/^\w*$/.test(place)) throw new ValueError(`the format {${place}} is not supported`);
    const item = /^\d*$/.test(place) ? positional[place === "" ? next++ : Number(place)] : named.get(place);
    if (item === undefined) throw new ValueError(`{${place}} has no value`);
    return toText(item);
  });
}
