/** `kindred demo` */
import { relative, resolve } from "node:path";
import type { Command } from "commander";
import type { Report } from "../simulations/report/types.js";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { integer } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface DemoOptions extends OutputOptions, ForceOption {
  readonly seed: number;
  readonly out?: string;
}

const FOLDER = "runs/demo";

export function demo(command: Command): Command {
  command
    .option("--seed <n>", "draws the population and seeds the run", integer(0), 0)
    .option("--out <dir>", `folder of the run (default: ${FOLDER}, or ${FOLDER}-2 and so on where that holds a run)`)
    .addOption(forceOption("a run in the folder"))
    .addOption(jsonOption())
    .action(async (options: DemoOptions) => {
      const { freeFolder, runDemo } = await import("../simulations/demo/demo.js");
      const { simulationText } = await import("./summary.js");
      const force = options.force === true;
      const given = resolve(options.out ?? FOLDER);
      // People run a demo to see it run, and to see it again: beside what it left the last time.
      const out = options.out !== undefined || force ? given : await freeFolder(given, options.seed);
      const named = options.out ?? relative("", out);
      const job = { seed: options.seed, out, force };
      const report = await runJob<Report>(options, (context) => runDemo({ ...job, ...context }), { resumes: true });
      await printResult(report, options, () => simulationText(report, named, out));
    });
  return example(command, "demo --seed 1");
}
