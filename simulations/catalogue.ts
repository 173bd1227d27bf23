/** Programs that run one of many things by its name: the list of the names, and the mistake of a name that is none. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { KindredError } from "../shared/base/errors.js";
import { nearest } from "../shared/config/suggest.js";

/** As node's `parseArgs`. @throws {KindredError} `invalid_option` for a mistake in the words */
export function parseWords<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    // The first sentence says what is wrong; the second how to pass a name that begins with a dash.
    const [problem] = (error as Error).message.split(". ");
    throw new KindredError("invalid_option", `${problem}; see --help`, {}, error);
  }
}

export interface Described {
  /** One line. */
  readonly about: string;
}

/** The usage, and a line for each name. */
export function listing(usage: string, entries: Readonly<Record<string, Described>>): string {
  const longest = Math.max(...Object.keys(entries).map((name) => name.length));
  const lines = Object.entries(entries).map(([name, { about }]) => `${name.padEnd(longest)}  ${about}`);
  return [usage, "", ...lines].join("\n");
}

/** @param command lists the names. @throws {KindredError} `invalid_option` for a name that is none, with the nearest one */
export function refuseName(name: string, known: readonly string[], command: string): never {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`;
  throw new KindredError("invalid_option", `unknown name ${JSON.stringify(name)}${hint}; ${command} lists the names`);
}
