/** `kindred evaluate --model DIR --data ROWS [--adapter DIR]` */
import type { Command } from "commander";
import { example } from "./options/help.js";
import { type RowsOptions, rowsOf, rowsOptions } from "./options/rows.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

/** What is printed, as the documentation has it. */
interface Evaluation {
  readonly examples: number;
  readonly tokens: number;
  readonly loss: number;
  readonly accuracy: number | null;
  readonly macroF1: number | null;
}

export function evaluate(command: Command): Command {
  rowsOptions(command)
    .option("--adapter <dir>", "folder of an adapter, of PEFT or AdapterHub")
    .action(async (options: OutputOptions & RowsOptions & { readonly adapter?: string }) => {
      const { adapter } = options;
      const job = { ...(await rowsOf(options)), ...(adapter === undefined ? {} : { adapter }) };
      const { evaluateFile } = await import("../client/tasks/evaluate.js");
      const result = await runJob<Evaluation>(options, (context) => evaluateFile(job, context));
      await printResult(result, options, () =>
        Object.entries(result)
          .map(([name, value]) => `${name.padEnd(9)} ${value ?? "none: no row has choices"}`)
          .join("\n"),
      );
    });
  return example(command, "evaluate --model simulations/demo/model --data docs/example/sites/harbour/test.jsonl");
}
