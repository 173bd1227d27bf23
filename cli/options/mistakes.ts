/**
 * Mistakes in the words of a command line. Commander checks for missing options before it checks for unknown ones, so that of
 * `--otu DIR` it says that `--out` is missing. Therefore unknown words are looked for first, and all of them are named.
 */
import { type Command, CommanderError } from "commander";
import { KindredError } from "../../shared/base/errors.js";
import { nearest } from "../../shared/config/suggest.js";

const HELP_WORDS: ReadonlySet<string> = new Set(["-h", "--help"]);

/** The command with the commands above it: "kindred run show". */
export const fullName = (command: Command): string =>
  command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;

const mistake = (message: string, command: Command, cause?: unknown): KindredError =>
  new KindredError("invalid_option", `${message}; see ${fullName(command)} --help`, {}, cause);

function quoted(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? `'${word}'` : `'${word}' (did you mean '${near}'?)`;
}

/**
 * Refuses options that `command` does not have, and an option that stands where another's value is due.
 * @param words those behind the command's name
 * @throws {KindredError} `invalid_option` naming all unknown options
 */
export function refuseUnknownOptions(command: Command, words: readonly string[]): void {
  const known = command.options.flatMap(({ long }) => (long ? [long] : []));
  const unknown: string[] = [];
  let swallowed: string | undefined;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (word === "--") break;
    const [name] = word.split("=", 1) as [string];
    if (HELP_WORDS.has(name)) return; // help is given whatever else is there
    if (!/^-[^\d.]/.test(word)) continue; // an argument, or a number below 0
    const option = command.options.find(({ short, long }) => name === short || name === long);
    if (option === undefined) unknown.push(name);
    else if (option.required && name === word) {
      const value = words[at + 1];
      if (value === undefined || !known.includes(value)) at++;
      else swallowed ??= `option '${option.flags}' has no value: option '${value}' follows`;
    }
  }
  const named = [...new Set(unknown)].map((name) => quoted(name, known));
  if (named.length > 0) throw mistake(`unknown option${named.length > 1 ? "s" : ""} ${named.join(", ")}`, command);
  if (swallowed !== undefined) throw mistake(swallowed, command);
}

/** @throws {KindredError} `invalid_option` always: `word` is none of the command's own commands, or missing */
export function refuseCommand(command: Command, word: string | undefined): never {
  const known = command.commands.map((each) => each.name());
  const problem = (what: string): string =>
    word === undefined ? `no ${what} given` : `unknown ${what} ${quoted(word, known)}`;
  if (command.parent === null) throw mistake(problem("command"), command);
  throw mistake(`${fullName(command)}: ${problem("action")}; expected one of ${known.join(", ")}`, command);
}

/** Commander's error as ours: one line that says where help is; other errors as they are. */
export function asMistake(error: unknown, command: Command): unknown {
  if (!(error instanceof CommanderError)) return error;
  return mistake(error.message.replace(/^error: /, "").replace(/\.$/, ""), command, error);
}
