/** `kindred coordinator --config FILE --listen HOST:PORT --state DIR` */
import { join } from "node:path";
import type { Command } from "commander";
import { example } from "./options/help.js";
import { securityOf, type TlsOptions, tlsOptions } from "./options/tls.js";
import { address, path } from "./options/values.js";
import { type OutputOptions, printText, runJob } from "./process.js";

interface CoordinatorOptions extends OutputOptions, TlsOptions {
  readonly config: string;
  readonly listen: string;
  readonly state: string;
}

export function coordinator(command: Command): Command {
  command
    .requiredOption("--config <file>", "configuration of the run (YAML); minClients is needed")
    .requiredOption("--listen <host:port>", "address to listen on", address)
    .requiredOption("--state <dir>", "folder or URL of the state, from which a killed coordinator resumes", path)
    .action(async (options: CoordinatorOptions) => {
      const { loadCoordinatorConfig } = await import("../shared/config/config.js");
      const plan = await loadCoordinatorConfig(options.config);
      const { runCoordinator } = await import("../coordinator/coordinator.js");
      const { stateFolder } = await import("../coordinator/storage/open.js");
      const { listen, state } = options;
      const folder = stateFolder(state);
      const summary = folder === undefined ? undefined : join(folder, "result.json");
      const job = { listen, state, ...(summary === undefined ? {} : { summary }), security: securityOf(options) };
      const outcome = await runJob(options, (context) => runCoordinator(plan, job, context), { resumes: true });
      const { coordinatorEnding } = await import("./jobs/endings.js");
      await printText(coordinatorEnding(outcome, state, summary));
    });
  tlsOptions(command, "coordinator");
  return example(
    command,
    "coordinator --config docs/example/coordinator.yaml --listen 127.0.0.1:7461 --state runs/coordinator",
  );
}
