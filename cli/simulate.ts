/** `kindred simulate CONFIG --out DIR` */
import type { Command } from "commander";
import type { Report } from "../simulations/report/types.js";
import { forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { formatOptions } from "./options/rows.js";
import { runtimeOptions } from "./options/runtime.js";
import { type SimulationOptions, simulationOf } from "./options/simulation.js";
import { path } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

export function simulate(command: Command): Command {
  command
    .argument("<config>", "configuration of the simulation (YAML)")
    .requiredOption("--out <dir>", "folder of the run: report, state, adapters", path)
    .addOption(forceOption("a finished run"))
    .action(async (config: string, options: OutputOptions & SimulationOptions) => {
      const { plan, place } = await simulationOf(config, options);
      const { runSimulation } = await import("../simulations/simulate.js");
      const { simulationText } = await import("./summary.js");
      const run = { ...place, source: config };
      const report = await runJob<Report>(options, (context) => runSimulation(plan, { ...run, ...context }), {
        resumes: true,
      });
      await printResult(report, options, () => simulationText(report, options.out, place.out));
    });
  runtimeOptions(formatOptions(command), "that of the configuration").addOption(jsonOption());
  return example(command, "simulate docs/example/simulate.yaml --out runs/example");
}
