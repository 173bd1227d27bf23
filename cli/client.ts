/** `kindred client --coordinator HOST:PORT --model DIR --data FOLDER_OR_FILE --name NAME` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { example } from "./options/help.js";
import { type ModelOptions, modelOf, modelOptions } from "./options/model.js";
import { endOfTextOf, type FormatOptions, formatGiven, formatOptions, formatWords } from "./options/rows.js";
import { type RuntimeOptions, runtimeOf, runtimeOptions } from "./options/runtime.js";
import { securityOf, type TlsOptions, tlsOptions } from "./options/tls.js";
import { address, integer, path } from "./options/values.js";
import { type OutputOptions, printText, runJob } from "./process.js";

interface ClientOptions extends OutputOptions, ModelOptions, FormatOptions, RuntimeOptions, TlsOptions {
  readonly coordinator: string;
  readonly data: string;
  readonly name: string;
  readonly state?: string;
  readonly seed: number;
  readonly maxTokens: number;
}

export function client(command: Command): Command {
  modelOptions(command.requiredOption("--coordinator <host:port>", "address of the coordinator", address))
    .requiredOption("--data <path>", "folder with train, validation and test files, or a file of rows")
    .requiredOption("--name <name>", "name of this client, unique in the federation")
    .option("--state <dir>", "folder of the state, from which a killed client resumes", path)
    .option("--seed <n>", "draws the splits that the data lacks", integer(0), 0)
    .option("--max-tokens <n>", "longest row in tokens", integer(2), 512)
    .action(async (options: ClientOptions) => {
      const model = await modelOf(options);
      const { runClient } = await import("../client/client.js");
      const { coordinator, name, seed, state, maxTokens } = options;
      const job = {
        ...model,
        coordinator,
        name,
        seed,
        maxTokens,
        data: resolve(options.data),
        format: formatGiven(options),
        endOfText: endOfTextOf(options),
        runtime: runtimeOf(options),
        security: securityOf(options),
        ...(state === undefined ? {} : { state: resolve(state) }),
      };
      const end = await runJob(options, (context) => runClient(job, context), { resumes: true });
      const format = formatWords(options);
      const { clientEnding } = await import("./jobs/endings.js");
      await printText(clientEnding(end.ensemble?.members.length, { name, model: options.model, state, format }));
    });
  tlsOptions(runtimeOptions(formatOptions(command)), "client");
  return example(
    command,
    "client --coordinator 127.0.0.1:7461 --model simulations/demo/model --data docs/example/sites/harbour --name harbour",
  );
}
