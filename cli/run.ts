/** `kindred run show STATE`, `kindred run logs STATE`, `kindred run rm STATE`; the state also as `--state STATE` */
import type { Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { integer } from "./options/values.js";
import { confirm, type OutputOptions, printLines, printResult, runJob } from "./process.js";

interface StateOptions {
  readonly state?: string;
}

/** The state of a run, for every action. */
const stateOptions = (to: Command): Command =>
  to
    .argument("[state]", "folder of a simulation or of a coordinator's state, or the URL of a state")
    .option("--state <dir>", "the same, as an option");

function stateOf(command: Command, argument: string | undefined, { state }: StateOptions): string {
  const given = argument ?? state;
  if (given !== undefined && (argument === undefined || state === undefined)) return given;
  const problem = given === undefined ? "no state given" : `two states given, ${argument} and --state ${state}`;
  throw new KindredError("invalid_option", `${problem}; expected one: kindred run ${command.name()} STATE`);
}

interface LogsOptions extends OutputOptions, StateOptions {
  readonly follow?: boolean;
  readonly from: number;
}

interface RemoveOptions extends OutputOptions, StateOptions {
  readonly yes?: boolean;
}

export function run(command: Command): Command {
  const show = stateOptions(command.command("show"))
    .description("show what a run is: clients, stage, rounds, groups, costs so far, faults")
    .addOption(jsonOption())
    .action(async (argument: string | undefined, options: OutputOptions & StateOptions) => {
      const state = stateOf(show, argument, options);
      const { conditionText, runCondition } = await import("./jobs/run-show.js");
      const condition = await runJob(options, () => runCondition(state));
      await printResult(condition, options, () => conditionText(condition));
    });
  example(show, "run show runs/example");

  const logs = stateOptions(command.command("logs"))
    .description("print the events of a run, one per line")
    .option("--follow", "print new events as they happen, until the run is finished")
    .option("--from <n>", "position of the first event to print, from 1", integer(1), 1)
    .addOption(jsonOption("print each event as one JSON object per line"))
    .action(async (argument: string | undefined, options: LogsOptions) => {
      const state = stateOf(logs, argument, options);
      const { eventLines } = await import("./jobs/run-logs.js");
      const { from, follow = false, json = false } = options;
      await runJob(options, ({ signal }) => printLines(eventLines(state, { from, follow, json, signal })));
    });
  example(logs, "run logs runs/example --follow");

  const rm = stateOptions(command.command("rm"))
    .description("remove a run: its state and its report, and nothing else in the folder")
    .option("--yes", "do not ask")
    .addOption(jsonOption())
    .action(async (argument: string | undefined, options: RemoveOptions) => {
      const state = stateOf(rm, argument, options);
      const { removalQuestion, removedText, runRemoval } = await import("./jobs/run-remove.js");
      const removal = await runRemoval(state);
      if (options.yes !== true) await confirm(removalQuestion(state, removal), "--yes");
      const removed = await removal.remove();
      await printResult(removed, options, () => removedText(state, removed));
    });
  example(rm, "run rm runs/example");
  return command;
}
