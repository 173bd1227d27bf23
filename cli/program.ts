/** The program that commander parses by: the list of all commands, and in full only the command that is asked for. */
import { Command, CommanderError } from "commander";
import { manifest } from "../shared/base/assets.js";
import { COMMANDS, type CommandEntry } from "./commands.js";
import { generalOptions, helpOption } from "./options/general.js";
import { HELP } from "./options/help.js";
import { asMistake, refuseCommand, refuseUnknownOptions } from "./options/mistakes.js";
import { printText } from "./process.js";

const isOption = (word: string): boolean => word.startsWith("-") && word !== "-";

/** All commands by name, empty. @param print takes the texts of --help and --version */
function listOfCommands(print: (text: string) => void): {
  readonly program: Command;
  readonly entries: ReadonlyMap<string, CommandEntry>;
} {
  const { version, description } = manifest();
  const program = new Command("kindred")
    .description(description)
    .usage("COMMAND [options]")
    .optionsGroup("General:")
    .version(version, "-V, --version", "print the version")
    .addHelpOption(helpOption())
    .helpCommand(false) // rewritten by `runCommandLine`, so that it loads its command
    .configureHelp(HELP)
    .addHelpText("after", "\nkindred COMMAND --help shows arguments, options and an example.")
    .exitOverride()
    .configureOutput({ writeOut: print, outputError: () => {} }); // the caller prints errors, on one line
  const entries = new Map<string, CommandEntry>();
  for (const [heading, group] of Object.entries(COMMANDS)) {
    program.commandsGroup(heading);
    for (const entry of group) {
      entries.set(entry.name, entry);
      program.command(entry.name).description(entry.summary);
    }
  }
  return { program, entries };
}

/** The commands that do something: those without commands of their own. */
const leaves = (command: Command): readonly Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);

/**
 * The command that the first words name, and the words behind its name.
 * @throws {KindredError} `invalid_option` where a name is no command, or one is missing
 */
function findCommand(program: Command, words: readonly string[]): { command: Command; rest: readonly string[] } {
  let command = program;
  let rest = words;
  while (command.commands.length > 0) {
    const [word] = rest;
    if (word !== undefined && isOption(word)) break;
    command = command.commands.find((each) => each.name() === word) ?? refuseCommand(command, word);
    rest = rest.slice(1);
  }
  return { command, rest };
}

/**
 * Runs the command that the words name. Help and version are printed and are no errors.
 * @param given the words behind the program's name
 * @throws {KindredError} `invalid_option` for a mistake in the words; the command's own errors
 */
export async function runCommandLine(given: readonly string[]): Promise<void> {
  const words = given[0] === "help" ? [...given.slice(1), "--help"] : given;
  const printed: string[] = [];
  const { program, entries } = listOfCommands((text) => void printed.push(text));
  const entry = entries.get(words[0] ?? "");
  const asked = program.commands.find((each) => each.name() === entry?.name);
  if (entry !== undefined && asked !== undefined) {
    const define = await entry.load();
    for (const leaf of leaves(define(asked).helpCommand(false))) generalOptions(leaf);
  }
  const { command, rest } = findCommand(program, words);
  refuseUnknownOptions(command, rest);
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    // --help and --version
    if (error instanceof CommanderError && error.exitCode === 0) return await printText(printed.join(""));
    throw asMistake(error, command);
  }
}
