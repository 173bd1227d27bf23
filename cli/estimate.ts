/** `kindred estimate SKETCHES --out DIR` */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { BALANCES, type Balance, DESIGNS, type Design } from "../shared/config/enumerations.js";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { engineOptions, type RuntimeOptions, runtimeOf } from "./options/runtime.js";
import { integer, number, path, positives } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface EstimateOptions extends OutputOptions, RuntimeOptions, ForceOption {
  readonly out: string;
  readonly subsets?: number;
  readonly subsetSize?: number;
  readonly standardError?: number;
  readonly design: Design;
  readonly balance: Balance;
  readonly lambda?: number[];
  readonly seed?: number;
}

export function estimate(command: Command): Command {
  command
    .argument("<sketches>", "folder that kindred gradients wrote")
    .requiredOption("--out <dir>", "folder of the estimate", path)
    .option("--subsets <n>", "subsets of clients whose joint training is estimated (default: chosen)", integer(1))
    .option(
      "--subset-size <n>",
      "clients per subset (default: the root of their number, or by --standard-error)",
      integer(2),
    )
    .option(
      "--standard-error <nats>",
      "standard error that the affinities must have: size and number of subsets are chosen for it",
      number(1e-9, 1e9),
    )
    .addOption(new Option("--design <name>", "how subsets are drawn").choices(DESIGNS).default("balanced"))
    .addOption(
      new Option(
        "--balance <name>",
        "examples that a client counts for: its own, at most the median client's, or the largest client's",
      )
        .choices(BALANCES)
        .default("none"),
    )
    .option("--lambda <list>", "ridge penalty, or a path of them: 3e-3,3e-4 (default: a path)", positives)
    .option("--seed <n>", "draws the subsets (default: that of the sketches)", integer(0))
    .addOption(forceOption("an estimate that is there"))
    .action(estimateAction);
  engineOptions(command).addOption(jsonOption());
  return example(command, "estimate runs/sketches --out runs/estimate");
}

async function estimateAction(sketches: string, options: EstimateOptions): Promise<void> {
  const { subsets, subsetSize, standardError, design, balance, lambda, seed } = options;
  const { estimateFiles } = await import("./jobs/estimate.js");
  const job = {
    sketches: resolve(sketches),
    out: resolve(options.out),
    force: options.force === true,
    settings: {
      subsets: subsets ?? ("auto" as const),
      subsetSize: subsetSize ?? ("auto" as const),
      standardError: standardError ?? ("auto" as const),
      lambda: lambda ?? ("auto" as const),
      design,
      balance,
    },
    seed,
    runtime: runtimeOf(options),
  };
  const result = await runJob(options, (context) => estimateFiles(job, context));
  const { clients, facts, cost } = result;
  const { counted } = await import("../shared/base/format.js");
  await printResult(
    result,
    options,
    () =>
      `affinities of ${counted(clients.length, "client")} from ${counted(facts.subsets, "subset")} of ${facts.subsetSize} in ${options.out}, standard error ${facts.standardError?.toPrecision(2) ?? "unknown"} nats, ${cost.seconds.toFixed(1)} s`,
  );
}
