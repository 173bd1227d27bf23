/** Options for a file of rows and the form of its rows. */
import { type Command, Option } from "commander";
import { formatLine } from "../../shared/base/log.js";
import { oneLine } from "../../shared/base/terminal.js";
import type { EndOfText } from "../../shared/config/enumerations.js";
import { escapeWarnings, formatOf, type RowFormat } from "../../shared/config/format.js";
import { jsonOption } from "./general.js";
import { type ModelOptions, modelOf, modelOptions } from "./model.js";
import { type RuntimeOptions, runtimeOf, runtimeOptions } from "./runtime.js";
import { choiceMap, endOfText, integer, names } from "./values.js";

export interface FormatOptions {
  readonly template?: string;
  readonly completion?: string;
  readonly choices?: Record<string, string>;
  readonly label?: string;
  readonly ignore?: readonly string[];
  readonly endOfText?: EndOfText;
}

export interface RowsOptions extends ModelOptions, FormatOptions, RuntimeOptions {
  readonly data: string;
  readonly maxTokens: number;
}

const GROUP = "Form of the rows:";

/** How rows that are objects or CSV become prompts and completions; the fields of a configuration that have these names. */
export const formatOptions = (to: Command): Command =>
  to
    .addOption(
      new Option(
        "--template <text>",
        "prompt of rows that are objects, fields in braces: 'Text: {text} Answer:'",
      ).helpGroup(GROUP),
    )
    .addOption(
      new Option("--completion <text>", "completion of such rows, fields in braces: ' {answer}'").helpGroup(GROUP),
    )
    .addOption(
      new Option("--choices <json>", `completion of each label: '{"0": " no", "1": " yes"}'`)
        .argParser(choiceMap)
        .helpGroup(GROUP),
    )
    .addOption(new Option("--label <field>", "field that holds the label").helpGroup(GROUP))
    .addOption(
      new Option("--ignore <fields>", "fields of rows to leave out: score,num_turns,messages.weight")
        .argParser(names)
        .helpGroup(GROUP),
    )
    .addOption(
      new Option("--end-of-text <when>", "append and score the end-of-text token: auto (free answers), true or false")
        .argParser(endOfText)
        .helpGroup(GROUP),
    );

/** What a command does unless the option is given. */
export const endOfTextOf = ({ endOfText = "auto" }: Pick<FormatOptions, "endOfText">): EndOfText => endOfText;

/** The options of the commands that read a file of rows. @param longest what `--max-tokens` counts */
export const rowsOptions = (to: Command, longest = "longest row in tokens"): Command =>
  runtimeOptions(
    formatOptions(
      modelOptions(to)
        .requiredOption("--data <file>", "rows: .jsonl, .jsonl.gz or .csv")
        .option("--max-tokens <n>", longest, integer(2), 512),
    ),
  ).addOption(jsonOption());

/** How a command writes to stderr. */
export interface Output {
  readonly quiet?: boolean;
  readonly logFormat?: "text" | "json";
}

/** Says on stderr, once each, what is probably a mistake in the forms of rows. */
export function warnOfFormats(formats: readonly RowFormat[], { quiet, logFormat }: Output): void {
  if (quiet) return;
  for (const warning of new Set(formats.flatMap(escapeWarnings))) {
    const line = logFormat === "json" ? formatLine("json", "warn", warning) : `kindred: warning: ${oneLine(warning)}`;
    process.stderr.write(`${line}\n`);
  }
}

/** The form of the rows that the options give. */
export function formatGiven(options: FormatOptions & Output): RowFormat {
  const format = formatOf(options);
  warnOfFormats([format], options);
  return format;
}

/** The words of a command line that give the same form of rows. */
export const formatWords = (options: FormatOptions): string[] =>
  Object.entries({
    ...formatOf(options),
    ignore: options.ignore?.join(","),
    "end-of-text": options.endOfText,
  }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, typeof value === "string" ? value : JSON.stringify(value)],
  );

/** The values of `rowsOptions`, as a job takes them. */
export async function rowsOf(options: RowsOptions & Output) {
  const { data, maxTokens } = options;
  return {
    ...(await modelOf(options)),
    data,
    maxTokens,
    endOfText: endOfTextOf(options),
    format: formatGiven(options),
    runtime: runtimeOf(options),
  };
}
