/** Options of many commands that concern no data: what is printed, what is replaced. */
import { type Command, Option } from "commander";

const GENERAL = "General:";

export interface ForceOption {
  readonly force?: boolean;
}

/** The options of every command. */
export const generalOptions = (to: Command): Command =>
  to
    .addOption(new Option("--debug", "show details and stack traces").helpGroup(GENERAL))
    .addOption(new Option("--quiet", "show no progress, and of the log only errors").helpGroup(GENERAL))
    .addOption(
      new Option("--log-format <form>", "form of progress and log: text, or one JSON object per line")
        .choices(LOG_FORMATS)
        .default("text")
        .helpGroup(GENERAL),
    );

const LOG_FORMATS = ["text", "json"] as const;

export const jsonOption = (description = "print the result as one JSON document"): Option =>
  new Option("--json", description).helpGroup(GENERAL);

export const helpOption = (): Option => new Option("-h, --help", "show this help").helpGroup(GENERAL);

export const forceOption = (what = "what is there"): Option => new Option("--force", `replace ${what}`);
