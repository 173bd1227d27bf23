/** `kindred sharpness --model DIR --adapter DIR --data ROWS` */
import type { Command } from "commander";
import { example } from "./options/help.js";
import { type RowsOptions, rowsOf, rowsOptions } from "./options/rows.js";
import { integer } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface SharpnessOptions extends OutputOptions, RowsOptions {
  readonly adapter: string;
  readonly probes: number;
  readonly seed: number;
}

/** What is printed. */
interface Sharpness {
  readonly loss: number;
  readonly parameters: number;
  readonly trace: { readonly mean: number; readonly standardError: number; readonly probes: number };
  readonly largest: { readonly eigenvalue: number; readonly residual: number; readonly steps: number };
}

export function sharpness(command: Command): Command {
  rowsOptions(command)
    .requiredOption("--adapter <dir>", "folder of the adapter, of PEFT or AdapterHub")
    .option("--probes <n>", "random vectors of the trace's estimate", integer(2), 32)
    .option("--seed <n>", "draws the vectors", integer(0), 0)
    .action(async (options: SharpnessOptions) => {
      const { adapter, probes, seed } = options;
      const job = { ...(await rowsOf(options)), adapter, probes, seed };
      const { sharpness } = await import("../client/tasks/sharpness.js");
      const result = await runJob<Sharpness>(options, (context) => sharpness(job, context));
      const { trace, largest, loss, parameters } = result;
      await printResult(result, options, () =>
        [
          `loss                ${loss.toFixed(4)} nats per scored token`,
          `trace               ${trace.mean.toPrecision(4)} ± ${trace.standardError.toPrecision(2)} (${trace.probes} probes, ${parameters} parameters)`,
          `largest eigenvalue  ${largest.eigenvalue.toPrecision(4)} ± ${largest.residual.toPrecision(2)}`,
        ].join("\n"),
      );
    });
  return example(
    command,
    "sharpness --model simulations/demo/model --adapter runs/example-export/members/group-1 --data docs/example/sites/harbour/test.jsonl",
  );
}
