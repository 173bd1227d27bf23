/**
 * Regular expressions of Python's `re` on names of modules. They come with an adapter, and a hostile one may take years (the exponential
 * case of a backtracking engine), so they run with a deadline. A pattern that is valid in Python and in JavaScript's stricter syntax
 * (its unicode mode) has one meaning in both, on ASCII names without line ends and without references to groups. All other patterns
 * are refused.
 */
import { runInNewContext } from "node:vm";
import { KindredError } from "../base/errors.js";

/** Real patterns are under a hundred characters; a list of a model's modules by their full names is under 20,000. */
const MAX_LENGTH = 100_000;
/** For all patterns and names together. Real patterns take a millisecond. */
const DEADLINE_MS = 1000;

/** The match of a pattern at the beginning of a name: its group `idx`, empty without such a group; null for no match. */
export type Found = string | null;

/** Runs in a context of its own: a deadline can be set for a context alone. */
const FIND = `JSON.stringify(patterns.map((source) => {
  const pattern = new RegExp(source, "u");
  return names.map((name) => {
    const found = pattern.exec(name);
    return found && (found.groups?.idx ?? "");
  });
}))`;

/**
 * Matches each pattern at the beginning of each name (`re.match`).
 * @param around makes the whole pattern of a given one
 * @param what names the patterns' field and file for the error
 * @returns one row of matches per pattern
 * @throws {KindredError} `unsupported` for a pattern that is valid in Python alone, or that takes too long
 */
export function matchPatterns(
  patterns: readonly string[],
  names: readonly string[],
  around: (pattern: string) => string,
  what: string,
): Found[][] {
  if (patterns.length === 0) return [];
  const refuse = (why: string, cause?: unknown): KindredError =>
    new KindredError("unsupported", `${what}: ${why}; list the modules by their names`, {}, cause);
  for (const pattern of patterns) {
    if (pattern.length > MAX_LENGTH) throw refuse(`a pattern of ${pattern.length} characters`);
    try {
      if (/\\[1-9]/.test(pattern)) throw new SyntaxError("a reference to a group");
      new RegExp(pattern, "u"); // alone: the text around it could close its brackets
    } catch (error) {
      throw refuse(`the pattern ${JSON.stringify(pattern.slice(0, 100))} has no equal meaning in JavaScript`, error);
    }
  }
  const sources = patterns.map((pattern) => `^(?:${around(pattern)})`);
  try {
    const found: string = runInNewContext(FIND, { patterns: sources, names: [...names] }, { timeout: DEADLINE_MS });
    return JSON.parse(found) as Found[][];
  } catch (error) {
    throw refuse(`matching its patterns failed, or took more than ${DEADLINE_MS / 1000} s`, error);
  }
}
