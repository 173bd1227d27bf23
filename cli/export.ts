/** `kindred export RUN --out DIR` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

export function exportCommand(command: Command): Command {
  command
    .argument("<run>", "folder of a simulation or of a coordinator's state, or the URL of a state")
    .requiredOption("--out <dir>", "folder to write")
    .addOption(forceOption("files of the folder"))
    .addOption(jsonOption())
    .action(async (run: string, options: OutputOptions & ForceOption & { readonly out: string }) => {
      const { exportRun } = await import("./jobs/export.js");
      const job = { run, out: resolve(options.out), force: options.force === true };
      const result = await runJob(options, (context) => exportRun(job, context));
      await printResult(
        result,
        options,
        () => `${result.members.length} adapters and ensemble.json written to ${options.out}`,
      );
    });
  return example(command, "export runs/example --out runs/example-export");
}
