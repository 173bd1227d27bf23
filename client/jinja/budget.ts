/**
 * What a rendering may cost. A template comes with a model from elsewhere: it must neither hold the client for long nor fill its
 * memory. Rendering is synchronous, so one count serves all functions of the language.
 */
import { ValueError } from "./errors.js";

/** Far more than any real template takes. About a second for steps of the template, some seconds for long texts. */
const MAX_STEPS = 5_000_000;
/** Characters that count as one step where a text is read or made, and where it is taken apart. */
const READ = 100;
const TAKEN_APART = 10;

let left = Number.POSITIVE_INFINITY;

/** Runs one rendering with a budget of its own. */
export function withBudget<T>(run: () => T): T {
  const outer = left;
  left = MAX_STEPS;
  try {
    return run();
  } finally {
    left = outer;
  }
}

/** @throws {ValueError} where the budget is used up */
export function spend(steps = 1): void {
  left -= steps;
  if (left < 0) throw new ValueError(`the template takes more than ${MAX_STEPS} steps`);
}

export function spendOnText(text: string): void {
  spend(text.length / READ);
}

/** For a list of characters or of items. */
export function spendOnParts(all: { readonly length: number }): void {
  spend(all.length / TAKEN_APART);
}

/** Digits of an int: one with more is neither read nor written by Python. */
export const MAX_DIGITS = 4_300;
const TOO_LONG = 10n ** BigInt(MAX_DIGITS);
const BITS_TOO_LONG = TOO_LONG.toString(2).length;

/** @throws {ValueError} for an int that Python would not write */
export function boundedInt(value: bigint): bigint {
  if (value < TOO_LONG && value > -TOO_LONG) return value;
  throw new ValueError(`makes an int of more than ${MAX_DIGITS} digits`);
}

/** @param exponent not negative. @throws {ValueError} where the result is too long, without making it */
export function power(base: bigint, exponent: bigint): bigint {
  // So many bits follow the leading one, at least. Of 0, 1 and -1 none do.
  const bits = (base < 0n ? -base : base).toString(2).length - 1;
  return boundedInt(bits * Number(exponent) >= BITS_TOO_LONG ? TOO_LONG : base ** exponent);
}

/** Far above the length of any conversation: a template that makes more is a mistake, or an attack on the memory. */
export const MAX_TEXT = 50_000_000;
/** Far above the messages, tools and parts of any conversation. Python's sandbox gives `range` a tenth of it. */
export const MAX_ITEMS = 1_000_000;

/** @throws {ValueError} for a value that would be too long */
export function bounded(length: number, most = MAX_TEXT): void {
  if (length > most) throw new ValueError(`makes a value longer than ${most}`);
}
