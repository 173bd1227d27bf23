/** `kindred group AFFINITY --out FILE` */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { GROUPING_METHODS, type GroupingMethod } from "../coordinator/stages/grouping-methods.js";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { engineOptions, type RuntimeOptions, runtimeOf } from "./options/runtime.js";
import { gathered, integer } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface GroupOptions extends OutputOptions, RuntimeOptions, ForceOption {
  readonly out: string;
  readonly sketches?: string;
  readonly method: GroupingMethod;
  readonly groups?: number;
  readonly number: "eigengap" | "path";
  readonly minSize?: number;
  readonly maxSize?: number;
  readonly together?: string[][];
  readonly apart?: string[][];
  readonly seed?: number;
}

export function group(command: Command): Command {
  command
    .argument("<affinity>", "affinity matrix (CSV), or a folder that kindred estimate wrote")
    .requiredOption("--out <file>", "groups, as JSON")
    .option("--sketches <dir>", "the clients' sketches: the estimator judges the partitions, as in a run")
    .addOption(
      new Option("--method <name>", "kindred: by the estimator where sketches are given, else by the relaxation")
        .choices(GROUPING_METHODS)
        .default("kindred"),
    )
    .option("--groups <n>", "number of groups (default: judged by the estimator, or as --number says)", integer(1))
    .addOption(
      new Option("--number <way>", "how the number is found without the estimator: gap of the spectrum, path of lambda")
        .choices(["eigengap", "path"])
        .default("eigengap"),
    )
    .option("--min-size <n>", "fewest clients of a group", integer(1))
    .option("--max-size <n>", "most clients of a group", integer(1))
    .option("--together <names>", "clients that share a group: a,b; may be given several times", gathered)
    .option("--apart <names>", "clients of which no two share a group: a,b; may be given several times", gathered)
    .option("--seed <n>", "seeds the search (default: that of the estimate)", integer(0))
    .addOption(forceOption("the file"))
    .action(groupAction);
  engineOptions(command).addOption(jsonOption());
  return example(command, "group runs/estimate --sketches runs/sketches --out runs/groups.json");
}

async function groupAction(affinity: string, options: GroupOptions): Promise<void> {
  const { sketches, method, groups, number, minSize, maxSize, together = [], apart = [], seed } = options;
  const { groupFiles } = await import("./jobs/group.js");
  const job = {
    affinity: resolve(affinity),
    ...(sketches === undefined ? {} : { sketches: resolve(sketches) }),
    out: resolve(options.out),
    force: options.force === true,
    groups: groups ?? ("auto" as const),
    method,
    number,
    constraints: { minSize, maxSize, together, apart },
    seed,
    runtime: runtimeOf(options),
  };
  const result = await runJob(options, (context) => groupFiles(job, context));
  await printResult(result, options, () =>
    [...result.groups.map((group, at) => `group ${at + 1}: ${group.join(", ")}`), result.reason].join("\n"),
  );
}
