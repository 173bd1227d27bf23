/** `kindred predict --model DIR --data ROWS [--adapter DIR | --ensemble DIR --client NAME]` */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { example } from "./options/help.js";
import { type RowsOptions, rowsOf, rowsOptions } from "./options/rows.js";
import { integer, number, share } from "./options/values.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface PredictOptions extends OutputOptions, RowsOptions {
  readonly adapter?: string;
  readonly ensemble?: string;
  readonly client?: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
  readonly out?: string;
}

/** An answer, one for each row. */
type Predicted =
  | {
      readonly row: string;
      readonly predicted: string;
      readonly right?: boolean;
      readonly choices: readonly { readonly completion: string; readonly probability: number }[];
    }
  | { readonly row: string; readonly text: string };

export function predict(command: Command): Command {
  rowsOptions(command, "longest row in tokens, its answer included")
    .option("--adapter <dir>", "folder of an adapter, of PEFT or AdapterHub")
    .option("--ensemble <export-dir>", "folder that kindred export wrote: answers by the weights of --client")
    .option("--client <name>", "client whose weights the ensemble takes")
    .option("--max-new-tokens <n>", "longest text to write, in tokens", integer(1), 64)
    .option("--temperature <t>", "0: the likeliest token each time; above 0: tokens are drawn", number(0), 0)
    .option("--top-p <p>", "draw from the likeliest tokens that have this probability together", share, 1)
    .option("--top-k <n>", "draw from this number of the likeliest tokens; 0: from all", integer(0), 0)
    .option("--seed <n>", "draws the tokens", integer(0), 0)
    .option("--out <file>", "write the answers to this file, one JSON object per line")
    .action(predictAction);
  return example(
    command,
    "predict --model simulations/demo/model --ensemble runs/example-export --client harbour --data docs/example/sites/harbour/test.jsonl",
  );
}

async function predictAction(options: PredictOptions): Promise<void> {
  const { maxNewTokens, temperature, topP, topK, seed, out } = options;
  const tuned = tunedOf(options);
  if (out !== undefined && statSync(out, { throwIfNoEntry: false })?.isDirectory()) {
    throw new KindredError("invalid_option", `${out}: is a folder; name a file, as --out`, { out });
  }
  const sampling = { temperature, topP, topK };
  const job = { ...(await rowsOf(options)), maxNewTokens, sampling, seed, ...tuned };
  const { predict } = await import("../client/tasks/predict.js");
  const rows = await runJob<readonly Predicted[]>(options, (context) => predict(job, context));
  if (out === undefined) return await printResult(rows, options, () => rows.map(answerLine).join("\n"));
  const { writeAtomically } = await import("../shared/base/atomic.js");
  await writeAtomically(resolve(out), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await printResult({ rows: rows.length, out }, options, () => `${rows.length} answers written to ${out}`);
}

/** The model that answers: with an adapter, or with one client's weights of an ensemble. */
function tunedOf({ adapter, ensemble, client }: Pick<PredictOptions, "adapter" | "ensemble" | "client">) {
  if (adapter !== undefined && (ensemble ?? client) !== undefined) {
    throw new KindredError(
      "invalid_option",
      "--adapter excludes --ensemble and --client: an ensemble has its own adapters",
    );
  }
  if ((ensemble === undefined) !== (client === undefined)) {
    throw new KindredError("invalid_option", "--ensemble and --client go together: each client has weights of its own");
  }
  if (adapter !== undefined) return { tuned: { adapter } };
  return ensemble !== undefined && client !== undefined ? { tuned: { ensemble, client } } : {};
}

function answerLine(answer: Predicted): string {
  if ("text" in answer) return `${answer.row}: ${JSON.stringify(answer.text)}`;
  const { row, predicted, right, choices } = answer;
  const probability = choices.find(({ completion }) => completion === predicted)?.probability ?? 0;
  const verdict = right === undefined ? "" : right ? ", right" : ", wrong";
  return `${row}: ${JSON.stringify(predicted)} (${(100 * probability).toFixed(1)} %${verdict})`;
}
