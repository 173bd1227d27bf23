/** `kindred client`: one client of a federation, with its own data, model and GPU or processor. */
import { join } from "node:path";
import { writeEnsemble } from "../shared/adapters/ensemble-folder.js";
import type { JobContext } from "../shared/base/command.js";
import { KindredError } from "../shared/base/errors.js";
import type { RowFormat } from "../shared/config/format.js";
import type { Quantization } from "../shared/quantization/layout.js";
import { openRuntime } from "../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../shared/runtimes/types.js";
import { channelCredentials, type SecurityOptions } from "../shared/wire/security.js";
import { encodeClient } from "./data/encode.js";
import { loadClient } from "./data/load.js";
import { openModel } from "./models/open.js";
import { runSession } from "./session/session.js";
import { ClientWork } from "./tasks/runner.js";
import type { ReceivedEnsemble } from "./tasks/work.js";
import { CompiledGraphs } from "./tuning/compiled-graphs.js";
import { budgetOf } from "./tuning/memory.js";

export interface ClientJob {
  readonly coordinator: string;
  readonly name: string;
  /** Draws the splits that the data lacks. */
  readonly seed: number;
  /** Folder, GGUF file or hub id. */
  readonly model: string;
  readonly quantization: Quantization | "none";
  readonly data: string;
  /** Longest row in tokens; at most the model's context. */
  readonly maxTokens: number;
  readonly format: RowFormat;
  readonly runtime: RuntimeChoice;
  readonly security: SecurityOptions;
  /** Keeps the client's identity and, at the end, its ensemble. */
  readonly state?: string;
}

export async function runClient(job: ClientJob, context: JobContext): Promise<void> {
  const { log, signal } = context;
  channelCredentials(job.coordinator, job.security); // an address that cannot be dialled is refused before the model is read
  const rows = await loadClient(job.data, { name: job.name, seed: job.seed, format: job.format });
  const { base, tokenizer, renderChat } = await openModel(job.model, { ...context, quantization: job.quantization });
  const maxTokens = Math.min(job.maxTokens, base.architecture.context);
  // Encoded now: a row that cannot be is the user's to mend before others wait for this client.
  const dataset = encodeClient(rows, tokenizer, { maxTokens, renderChat });
  const runtime = await openRuntime(job.runtime);
  const compiledGraphs = new CompiledGraphs(runtime, base, budgetOf(job.runtime.memory, base, log, { trains: true }));
  const { state } = job;
  if (state === undefined) log.warn("no --state given: the ensemble that this client is returned will not be kept");
  const keep = async (folder: string, { adapter, members }: ReceivedEnsemble): Promise<void> => {
    const weights = [[job.name, members.map(({ weight }) => weight)]] as const;
    await writeEnsemble(folder, { baseModel: job.model, adapter, members, weights });
  };
  const onEnsemble =
    state === undefined ? {} : { onEnsemble: (ensemble: ReceivedEnsemble) => keep(join(state, "ensemble"), ensemble) };
  try {
    const end = await runSession({
      coordinator: job.coordinator,
      security: job.security,
      name: job.name,
      modelHash: base.hash,
      rows: { train: rows.train.length, validation: rows.validation.length, test: rows.test.length },
      runner: new ClientWork({ compiledGraphs, dataset: () => dataset, ...onEnsemble }),
      ...(state === undefined ? {} : { stateDir: state }),
      signal,
      log,
    });
    if (!end.finished) throw new KindredError("cancelled", `the coordinator gave the run up: ${end.reason}`);
    log.info("run finished", {
      reason: end.reason,
      ...(state === undefined ? {} : { ensemble: join(state, "ensemble") }),
    });
  } finally {
    await runtime.close();
  }
}
