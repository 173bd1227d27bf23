/**
 * Regular expressions of Python's `re` on names of modules. They come with an adapter from anywhere, and one may be written so
 * that it takes years (a backtracking engine's exponential case), so they run against a clock. Those that Python takes and
 * JavaScript's stricter syntax (its unicode mode) takes too mean the same in both, on ASCII names without line ends, but for
 * references to groups; the rest are refused, not guessed at.
 */
import { runInNewContext } from "node:vm";
import { KindredError } from "../base/errors.js";

/** Real ones are under a hundred characters; a list of a model's modules with their names in full under 20,000. */
const MAX_LENGTH = 100_000;
/** For all patterns and names together; real ones take a millisecond. */
const DEADLINE_MS = 1000;

/** What a pattern found at the beginning of a name: its group `idx`, empty where there is none; null where it did not match. */
export type Found = string | null;

/** Runs in a context of its own, which is what a deadline can be set for. */
const FIND = `JSON.stringify(patterns.map((source) => {
  const pattern = new RegExp(source, "u");
  return names.map((name) => {
    const found = pattern.exec(name);
    return found && (found.groups?.idx ?? "");
  });
}))`;

/**
 * Looks for each pattern at the beginning of each name (`re.match`).
 * @param around puts a pattern into the one that is looked for
 * @param what names the patterns' field and file for the error
 * @returns a row of results for each pattern
 * @throws {KindredError} `unsupported` for a pattern that only Python reads, or that takes too long
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
      new RegExp(pattern, "u"); // by itself: what is put around it could close its brackets
    } catch (error) {
      throw refuse(`the pattern ${JSON.stringify(pattern.slice(0, 100))} is not read here as Python reads it`, error);
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
