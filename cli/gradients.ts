/** `kindred gradients CONFIG --out DIR` */
import type { Command } from "commander";
import { forceOption, jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { formatOptions } from "./options/rows.js";
import { runtimeOptions } from "./options/runtime.js";
import { type SimulationOptions, simulationOf } from "./options/simulation.js";
import { path } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

export function gradients(command: Command): Command {
  command
    .argument("<config>", "configuration of a simulation (YAML)")
    .requiredOption("--out <dir>", "folder of the sketches; sketches that are there and fit are kept", path)
    .addOption(forceOption("sketches that are there"))
    .action(async (config: string, options: OutputOptions & SimulationOptions) => {
      const { plan, place } = await simulationOf(config, options);
      const { sketchPopulation } = await import("../simulations/population/gradients.js");
      const result = await runJob(options, (context) => sketchPopulation(plan, place, context), { resumes: true });
      const { clients, kept, leftOut } = result;
      const { counted } = await import("../shared/base/format.js");
      const missing = leftOut.length > 0 ? `; ${leftOut.length} left out` : "";
      await printResult(
        result,
        options,
        () =>
          `sketches of ${counted(clients.length, "client")} in ${options.out}, ${kept} of them kept from earlier${missing}`,
      );
    });
  runtimeOptions(formatOptions(command), "that of the configuration").addOption(jsonOption());
  return example(command, "gradients docs/example/simulate.yaml --out runs/sketches");
}
