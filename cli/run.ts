/** `kindred run show STATE`, `kindred run logs STATE` */
import type { Command } from "commander";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { integer } from "./options/values.js";
import { type OutputOptions, printLines, printResult, runJob } from "./process.js";

/** Described once: every action takes it. */
const STATE = "folder of a simulation or of a coordinator's state, or the URL of a state";

interface LogsOptions extends OutputOptions {
  readonly follow?: boolean;
  readonly from: number;
}

export function run(command: Command): Command {
  const show = command
    .command("show")
    .description("show what a run is: clients, stage, rounds, groups, costs so far, faults")
    .argument("<state>", STATE)
    .addOption(jsonOption())
    .action(async (state: string, options: OutputOptions) => {
      const { conditionText, runCondition } = await import("./jobs/run-show.js");
      const condition = await runJob(options, () => runCondition(state));
      await printResult(condition, options, () => conditionText(condition));
    });
  example(show, "run show runs/example");

  const logs = command
    .command("logs")
    .description("print the events of a run, one per line")
    .argument("<state>", STATE)
    .option("--follow", "print new events as they happen, until the run is finished")
    .option("--from <n>", "position of the first event to print, from 1", integer(1), 1)
    .addOption(jsonOption("print each event as one JSON object per line"))
    .action(async (state: string, options: LogsOptions) => {
      const { eventLines } = await import("./jobs/run-logs.js");
      const { from, follow = false, json = false } = options;
      await runJob(options, ({ signal }) => printLines(eventLines(state, { from, follow, json, signal })));
    });
  example(logs, "run logs runs/example --follow");
  return command;
}
