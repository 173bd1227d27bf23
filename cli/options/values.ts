/** Parsers of the values of options. Each throws what is expected; commander names the option and the value. */
import { InvalidArgumentError } from "commander";
import { parse } from "lossless-json";
import { parseBytes } from "../../shared/base/bytes.js";
import { END_OF_TEXT, type EndOfText } from "../../shared/config/enumerations.js";
import { parseAddress } from "../../shared/wire/address.js";

export function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
  };
}

/** A list of whole numbers: "1,2,4". */
export function integers(min: number): (text: string) => number[] {
  return (text) => {
    const values = numbers(text);
    if (values.every((value) => Number.isSafeInteger(value) && value >= min)) return values;
    throw new InvalidArgumentError(`It must be whole numbers of at least ${min}, separated by commas: 1,2,4.`);
  };
}

export function number(min: number, max = Number.MAX_VALUE): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Number.MAX_VALUE
        ? `It must be a number of at least ${min}.`
        : `It must be a number from ${min} to ${max}.`,
    );
  };
}

/** A number above 0 and at most 1. */
export function share(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be above 0 and at most 1.");
}

/** A list of numbers above 0: "3e-3,3e-4". */
export function positives(text: string): number[] {
  const values = numbers(text);
  if (values.every((value) => Number.isFinite(value) && value > 0)) return values;
  throw new InvalidArgumentError("It must be numbers above 0, separated by commas: 3e-3,3e-4.");
}

const numbers = (text: string): number[] =>
  text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));

/** HOST:PORT. */
export function address(text: string): string {
  try {
    parseAddress(text);
    return text;
  } catch {
    throw new InvalidArgumentError("It must be HOST:PORT, with IPv6 in brackets, such as 127.0.0.1:7461.");
  }
}

/** A path; an empty one, as of a variable that is not set, would be the current folder. */
export function path(text: string): string {
  if (text.trim() !== "") return text;
  throw new InvalidArgumentError("It must be a path, and is empty.");
}

/** When the end-of-text token is appended to rows. */
export function endOfText(text: string): EndOfText {
  const found = END_OF_TEXT.find((value) => String(value) === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`It must be ${END_OF_TEXT.join(", ")}.`);
}

/** A list of names: "a,b". */
export const names = (text: string): string[] => text.split(",").map((name) => name.trim());

/** Lists of names, one for each time that the option is given. */
export const gathered = (text: string, before: readonly string[][] = []): string[][] => [...before, names(text)];

/** Values, one for each time that the option is given. */
export const collected = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Bytes: "8GiB". @param option named in the error */
export const size = (option: string) => (text: string) => parseBytes(text, option);

/** The completion of each label: `{"0": " no", "1": " yes"}`. */
export function choiceMap(text: string): Record<string, string> {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    // Of any other mistake, the form that is expected is told below.
    const twice = /^Duplicate key '(.*)' encountered/s.exec((error as Error).message);
    if (twice) throw new InvalidArgumentError(`It gives ${JSON.stringify(twice[1])} two completions; keep one.`);
  }
  const sound =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((completion) => typeof completion === "string");
  if (!sound) throw new InvalidArgumentError(`It must be a JSON object like {"0": " no", "1": " yes"}.`);
  return value as Record<string, string>;
}
