/** Arguments of functions, methods, filters and tests, by position or by name. */
import { ValueError } from "./errors.js";
import { type Arguments, asNumber, isNumeric, typeOf, Undefined, type Value } from "./values.js";

/** A parameter: its name, and its value where none is given. Without one it must be given. */
export type ParameterOf = readonly [name: string, preset?: Value];

export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/**
 * The values of parameters.
 * @throws {ValueError} for an argument that has no parameter, or two, and for a parameter that has no value
 */
export function bind(callee: string, { positional, named }: Arguments, parameters: readonly ParameterOf[]): Value[] {
  if (positional.length > parameters.length) {
    throw new ValueError(`${callee} takes at most ${parameters.length} arguments, got ${positional.length}`);
  }
  for (const name of named.keys()) {
    const at = parameters.findIndex(([parameter]) => parameter === name);
    if (at < 0) throw new ValueError(`${callee} has no argument ${name}`);
    if (at < positional.length) throw new ValueError(`${callee} gets two values for ${name}`);
  }
  return parameters.map(([name, preset], at) => {
    const value = at < positional.length ? positional[at] : named.has(name) ? named.get(name) : preset;
    if (value === undefined) throw new ValueError(`${callee} needs ${name}`);
    return value;
  });
}

/** @throws {ValueError} for anything but an int or a bool */
export function integer(value: Value, what: string): number {
  if (value instanceof Undefined) value.fail();
  const number = isNumeric(value) ? asNumber(value) : undefined;
  if (typeof number !== "bigint") throw new ValueError(`${what} must be an int, got ${typeOf(value)}`);
  return Number(number);
}

/** @throws {ValueError} for anything but a text */
export function string(value: Value, what: string): string {
  if (value instanceof Undefined) value.fail();
  if (typeof value !== "string") throw new ValueError(`${what} must be a str, got ${typeOf(value)}`);
  return value;
}

/** A text, or undefined for None. */
export function optionalString(value: Value, what: string): string | undefined {
  return value === null ? undefined : string(value, what);
}
