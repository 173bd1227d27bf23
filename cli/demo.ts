/** `kindred demo` */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { Report } from "../simulations/report/types.js";
import { type ForceOption, forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { integer } from "./options/values.js";
import { type OutputOptions, printResult, runJob, screen } from "./process.js";

interface DemoOptions extends OutputOptions, ForceOption {
  readonly seed: number;
  readonly out: string;
}

export function demo(command: Command): Command {
  command
    .option("--seed <n>", "draws the population and seeds the run", integer(0), 0)
    .option("--out <dir>", "folder of the run", "runs/demo")
    .addOption(forceOption("an unfinished run"))
    .addOption(jsonOption())
    .action(async (options: DemoOptions) => {
      const { runDemo } = await import("../simulations/demo/demo.js");
      const { reportEnding } = await import("./jobs/endings.js");
      const { terminalReport } = await import("../simulations/report/terminal.js");
      const out = resolve(options.out);
      // People run a demo to see it run: a finished one runs anew, an unfinished one resumes.
      const force = options.force === true || existsSync(join(out, "report.json"));
      const job = { seed: options.seed, out, force };
      const report = await runJob<Report>(options, (context) => runDemo({ ...job, ...context }), { resumes: true });
      await printResult(
        report,
        options,
        () => `${terminalReport(report, screen()).trimEnd()}\n\n${reportEnding(options.out, out)}`,
      );
    });
  return example(command, "demo --seed 1");
}
