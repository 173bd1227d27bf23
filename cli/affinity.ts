/** `kindred affinity explain RUN CLIENT` */
import { Argument, type Command } from "commander";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { engineOptions, type RuntimeOptions, runtimeOf } from "./options/runtime.js";
import { collected } from "./options/values.js";
import { type OutputOptions, printResult, runJob, screen } from "./process.js";

interface AffinityOptions extends OutputOptions, RuntimeOptions {
  readonly without?: string[];
  readonly with?: string[];
}

export function affinity(command: Command): Command {
  command
    .addArgument(new Argument("<action>", "what to do").choices(["explain"]))
    .argument("<run>", "folder of a simulation or of a coordinator's state, or the URL of a state")
    .argument("<client>", "name of the client to explain")
    .option("--without <name>", "what if this client left; may be given several times", collected)
    .option("--with <name>", "what if this client joined the group; may be given several times", collected)
    .action(async (_: string, run: string, client: string, options: AffinityOptions) => {
      const { explainRun } = await import("./jobs/explain.js");
      const { explanationText } = await import("../coordinator/stages/explanation.js");
      const { without = [], with: joined = [] } = options;
      const job = { run, client, without, joined, runtime: runtimeOf(options) };
      const result = await runJob(options, (context) => explainRun(job, context));
      await printResult(result, options, () => explanationText(result, screen()));
    });
  engineOptions(command).addOption(jsonOption());
  return example(command, "affinity explain runs/example harbour --without pier");
}
