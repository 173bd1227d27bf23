/** `kindred client`: one client of a federation, with its own data, model and GPU or processor. */
import { join } from "node:path";
import { writeEnsemble } from "../shared/adapters/ensemble-folder.js";
import type { JobContext } from "../shared/base/command.js";
import { KindredError } from "../shared/base/errors.js";
import type { EndOfText } from "../shared/config/enumerations.js";
import type { RowFormat } from "../shared/config/format.js";
import { tokenizerFiles } from "../shared/models/tokenizer-files.js";
import type { Quantization } from "../shared/quantization/layout.js";
import { openRuntime } from "../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../shared/runtimes/types.js";
import { channelCredentials, type SecurityOptions } from "../shared/wire/security.js";
import type { ModelIdentity } from "../shared/wire/types.js";
import { encodeClient } from "./data/encode.js";
import { loadClient } from "./data/load.js";
import { type GivenRows, readClient } from "./data/population-file.js";
import { rowReader } from "./data/rows.js";
import type { EncodedDataset } from "./data/types.js";
import type { BaseModel } from "./models/base.js";
import { openModel } from "./models/open.js";
import { runSession } from "./session/session.js";
import { encodingOf } from "./tasks/encoding.js";
import { identityOf } from "./tasks/identity.js";
import { NarratedRunner } from "./tasks/narrated.js";
import { ClientWork } from "./tasks/runner.js";
import type { ReceivedEnsemble } from "./tasks/work.js";
import { CompiledGraphs } from "./tuning/compiled-graphs.js";
import { budgetOf } from "./tuning/memory.js";

export type { GivenRows };

export interface ClientJob {
  readonly coordinator: string;
  readonly name: string;
  /** Draws the splits that the data lacks. */
  readonly seed: number;
  /** Folder, GGUF file or hub id. */
  readonly model: string;
  /** The model's name in the files of the ensemble. @default model */
  readonly modelName?: string;
  readonly quantization: Quantization | "none";
  /** Folder or file of rows, or the rows. */
  readonly data: string | GivenRows;
  /** Longest row in tokens; at most the model's context. */
  readonly maxTokens: number;
  readonly endOfText: EndOfText;
  readonly format: RowFormat;
  readonly runtime: RuntimeChoice;
  readonly security: SecurityOptions;
  /** Keeps the client's identity and, at the end, its ensemble. */
  readonly state?: string;
}

/** How a client's run ended. */
export interface ClientEnd {
  /** The coordinator's words. */
  readonly reason: string;
  /** What the client was given; absent where the run ended without an ensemble for it. */
  readonly ensemble?: ReceivedEnsemble;
}

/** A client whose rows and model are sound. */
export interface OpenedClient {
  /** Works for the coordinator until the run is over. Once. @throws {KindredError} as `runSession`, `cancelled` */
  run(): Promise<ClientEnd>;
}

/** Reads the client's rows and model. @throws {KindredError} what is wrong with them, before the coordinator hears of the client */
export async function openClient(job: ClientJob, context: JobContext): Promise<OpenedClient> {
  channelCredentials(job.coordinator, job.security); // an address that cannot be dialled is refused before the model is read
  const { name, seed, format, data } = job;
  const rows =
    typeof data === "string"
      ? await loadClient(data, { name, seed, format })
      : readClient({ where: "data", fields: { ...data, client: name } }, rowReader(format), seed);
  const model = await openModel(job.model, { ...context, quantization: job.quantization });
  const encoding = encodingOf(model, job, context.log);
  // Encoded now: a row that cannot be is the user's to mend before others wait for this client.
  const dataset = await encodeClient(rows, model.tokenizer, encoding);
  const identity = identityOf(model, rows, encoding, job.quantization);
  return { run: () => work(job, { base: model.base, identity, dataset }, context) };
}

async function work(
  { state, ...job }: ClientJob,
  { base, identity, dataset }: { base: BaseModel; identity: ModelIdentity; dataset: EncodedDataset },
  { log, progress, signal }: JobContext,
): Promise<ClientEnd> {
  const runtime = await openRuntime(job.runtime);
  try {
    const compiledGraphs = new CompiledGraphs(runtime, base, budgetOf(job.runtime.memory, base, log, { trains: true }));
    let ensemble: ReceivedEnsemble | undefined;
    let unkept: unknown;
    const onEnsemble = async (received: ReceivedEnsemble): Promise<void> => {
      const { adapter, members } = received;
      const weights = [[job.name, members.map(({ weight }) => weight)]] as const;
      try {
        if (state !== undefined) {
          const tokenizer = await tokenizerFiles(base.folder);
          const baseModel = job.modelName ?? job.model;
          await writeEnsemble(join(state, "ensemble"), { baseModel, adapter, members, weights, tokenizer });
        }
      } catch (error) {
        unkept = error;
        throw error;
      }
      ensemble = received;
    };
    const { train, validation, test } = dataset;
    log.info("connecting", { coordinator: job.coordinator });
    const runner = new NarratedRunner(new ClientWork({ compiledGraphs, dataset: () => dataset, onEnsemble }), progress);
    const end = await runSession({
      coordinator: job.coordinator,
      security: job.security,
      name: job.name,
      identity,
      rows: { train: train.length, validation: validation.length, test: test.length },
      runner,
      ...(state === undefined ? {} : { stateDir: state }),
      signal,
      log,
    });
    runner.close();
    if (!end.finished) throw new KindredError("cancelled", `the coordinator gave the run up: ${end.reason}`);
    if (ensemble === undefined && unkept !== undefined) throw unkept;
    return { reason: end.reason, ...(ensemble === undefined ? {} : { ensemble }) };
  } finally {
    await runtime.close();
  }
}

/** `kindred client`. @throws {KindredError} as `openClient` and `OpenedClient.run` */
export async function runClient(job: ClientJob, context: JobContext): Promise<ClientEnd> {
  const { log } = context;
  const { state } = job;
  const client = await openClient(job, context);
  if (state === undefined) log.warn("no --state given: the ensemble that this client is returned will not be kept");
  const end = await client.run();
  const { reason, ensemble } = end;
  if (ensemble === undefined) {
    log.warn(
      "run finished without an ensemble for this client: it enrolled after the run had begun, or could not take part",
      {
        reason,
      },
    );
  } else log.info("run finished", { reason, ...(state === undefined ? {} : { ensemble: join(state, "ensemble") }) });
  return end;
}
