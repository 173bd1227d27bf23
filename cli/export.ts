/** `kindred export RUN --out DIR` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { counted } from "../shared/base/format.js";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { path } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface ExportOptions extends OutputOptions, ForceOption {
  readonly out: string;
  readonly model?: string;
}

export function exportCommand(command: Command): Command {
  command
    .argument("<run>", "folder of a simulation or of a coordinator's state, or the URL of a state")
    .requiredOption("--out <dir>", "folder to write", path)
    .option("--model <dir>", "model whose tokenizer is written, where the run's is not there (default: the run's)")
    .addOption(forceOption("files of the folder"))
    .addOption(jsonOption())
    .action(async (run: string, options: ExportOptions) => {
      const { exportRun } = await import("./jobs/export.js");
      const { resolveModel } = await import("../shared/config/config.js");
      const { model } = options;
      const job = {
        run,
        out: resolve(options.out),
        force: options.force === true,
        ...(model === undefined ? {} : { model: resolveModel(model, process.cwd(), "--model"), modelName: model }),
      };
      const result = await runJob(options, (context) => exportRun(job, context));
      await printResult(
        result,
        options,
        () =>
          `${counted(result.members.length, "adapter")}, ensemble.json, model cards${result.tokenizer ? " and the tokenizer" : ""} written to ${options.out}`,
      );
    });
  return example(command, "export runs/example --out runs/example-export");
}
