/** `kindred profile --model DIR` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { type ModelOptions, modelOf, modelOptions } from "./options/model.js";
import { engineOptions, type RuntimeOptions, runtimeOf } from "./options/runtime.js";
import { integer, integers, names } from "./options/values.js";
import { type OutputOptions, printResult, runJob, screen } from "./process.js";

interface ProfileOptions extends OutputOptions, ModelOptions, RuntimeOptions {
  readonly adapter?: string;
  readonly rank?: number;
  readonly modules?: string[];
  readonly members: number[];
  readonly batch: number;
  readonly tokens: number;
  readonly scored?: number;
}

export function profile(command: Command): Command {
  modelOptions(command)
    .option("--adapter <peft-dir>", "PEFT folder of an adapter (default: a fresh adapter)")
    .option("--rank <n>", "rank of a fresh adapter (default: 16)", integer(1))
    .option("--modules <names>", "linears of a fresh adapter, by name: q_proj,v_proj (default: the attention's)", names)
    .option("--members <list>", "numbers of adapters to run in one pass", integers(1), [1, 2, 4, 8])
    .option("--batch <n>", "rows", integer(1), 8)
    .option("--tokens <n>", "tokens per row", integer(1), 64)
    .option("--scored <n>", "number of a row's last tokens that are scored, as an answer is (default: 8)", integer(1))
    .action(profileAction);
  engineOptions(command).addOption(jsonOption());
  return example(command, "profile --model simulations/demo/model --members 1,4");
}

async function profileAction(options: ProfileOptions): Promise<void> {
  const { adapter, rank, modules, members, batch: rows, tokens } = options;
  const { scored = Math.min(8, tokens) } = options;
  if (adapter !== undefined && (rank ?? modules) !== undefined) {
    throw new KindredError("invalid_option", "--adapter excludes --rank and --modules: it has its own");
  }
  if (scored > tokens) {
    throw new KindredError(
      "invalid_option",
      `--scored: more than a row has; expected at most ${tokens} (--tokens), got ${scored}`,
    );
  }
  const { profile, profileText } = await import("../client/profile/profile.js");
  const job = {
    ...(await modelOf(options)),
    adapter: adapter === undefined ? { rank: rank ?? 16, modules: modules ?? [] } : { folder: resolve(adapter) },
    members,
    batch: { rows, tokens, scored },
    runtime: runtimeOf(options),
  };
  const result = await runJob(options, (context) => profile(job, context));
  await printResult(result, options, () => profileText(result, screen()));
}
