/** How help is written: required options are marked, choices and defaults are shown as they are typed, every command has an example. */
import type { Command, HelpConfiguration, Option } from "commander";

const asTyped = (value: unknown): string => (Array.isArray(value) ? value.join(",") : String(value));

function optionDescription({
  description,
  mandatory,
  argChoices,
  defaultValue,
  defaultValueDescription,
}: Option): string {
  const fallback = defaultValueDescription ?? (defaultValue === undefined ? undefined : asTyped(defaultValue));
  const notes = [
    ...(mandatory ? ["required"] : []),
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(", ")}`]),
    ...(fallback === undefined ? [] : [`default: ${fallback}`]),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join("; ")})`;
}

export const HELP: HelpConfiguration = {
  optionDescription,
  // In a list of commands the name alone: arguments and options are in the command's own help.
  subcommandTerm: (command) => command.name(),
};

/** A command line to start from, below the help of a command. */
export const example = (to: Command, line: string): Command => to.addHelpText("after", `\nExample: kindred ${line}`);
