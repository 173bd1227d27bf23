/** `kindred data check --model DIR --data DATA` */
import type { Command } from "commander";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { type ModelOptions, modelOf, modelOptions } from "./options/model.js";
import { endOfTextOf, type FormatOptions, formatGiven, formatOptions } from "./options/rows.js";
import { engineOptions, type RuntimeOptions, runtimeOf } from "./options/runtime.js";
import { integer, number } from "./options/values.js";
import { type OutputOptions, printResult, runJob, screen } from "./process.js";

interface CheckOptions extends OutputOptions, ModelOptions, FormatOptions, RuntimeOptions {
  readonly data: string;
  readonly maxTokens: number;
  readonly seed: number;
  readonly epochs?: number;
  readonly batch?: number;
  readonly time: boolean;
}

export function data(command: Command): Command {
  const check = modelOptions(command.command("check"))
    .description("show rows, tokens, labels, duplicates, what is scored, and what training will cost")
    .requiredOption(
      "--data <path>",
      "a client's folder or file of rows; a population file, or a folder or glob of clients",
    )
    .option("--max-tokens <n>", "longest row in tokens", integer(2), 512)
    .option("--seed <n>", "draws the splits that the data lacks", integer(0), 0)
    .option("--epochs <n>", "passes over the training rows (default: that of a configuration)", number(0))
    .option("--batch <n>", "rows per training step (default: that of a configuration)", integer(1))
    .option("--no-time", "take no training steps for their time")
    .action(async (options: CheckOptions) => {
      const { maxTokens, seed, epochs, batch, time } = options;
      const { dataPath } = await import("../shared/config/config.js");
      const { checkData } = await import("../simulations/population/check.js");
      const { checkText } = await import("../simulations/population/check-text.js");
      const job = {
        ...(await modelOf(options)),
        data: dataPath(options.data),
        format: formatGiven(options),
        endOfText: endOfTextOf(options),
        maxTokens,
        seed,
        runtime: runtimeOf(options),
        ...(epochs === undefined ? {} : { epochs }),
        ...(batch === undefined ? {} : { batch }),
        timed: time,
      };
      const checked = await runJob(options, (context) => checkData(job, context));
      const result = { model: options.model, data: options.data, ...checked };
      await printResult(result, options, () => checkText(result, screen()));
    });
  engineOptions(formatOptions(check)).addOption(jsonOption());
  example(check, "data check --model simulations/demo/model --data docs/example/sites/harbour");
  return command;
}
