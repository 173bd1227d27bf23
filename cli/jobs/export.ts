/**
 * The job of `kindred export`: writes a run's adapters as folders of PEFT or AdapterHub, with the tokenizer and model cards, and the
 * ensemble's weights. It reads the state beside a coordinator at work and changes nothing in it.
 */
import { readdir } from "node:fs/promises";
import { PUBLISHED, type Published } from "../../coordinator/ensemble/published.js";
import { readEvents } from "../../coordinator/events/events.js";
import { summarizeRun } from "../../coordinator/events/summary.js";
import { storedResult } from "../../coordinator/run/journal.js";
import type { RecordReader } from "../../coordinator/storage/types.js";
import { writeEnsemble } from "../../shared/adapters/ensemble-folder.js";
import type { CardFacts } from "../../shared/adapters/model-card.js";
import { parseSafetensors } from "../../shared/adapters/safetensors.js";
import { manifest } from "../../shared/base/assets.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import type { RunPlan } from "../../shared/config/config.js";
import { openModelFolder } from "../../shared/models/files.js";
import { resolveModel } from "../../shared/models/hub.js";
import { tokenizerFiles } from "../../shared/models/tokenizer-files.js";
import { modelTokenizerHash } from "../../shared/models/tokenizer-json.js";
import { readRun } from "./read-run.js";

export interface ExportJob {
  /** A simulation's folder, or a coordinator's state. */
  readonly run: string;
  readonly out: string;
  readonly force: boolean;
  /** Whose tokenizer is written. @default the run's, where it is still there */
  readonly model?: string;
  /** The model as the user named it. @default model */
  readonly modelName?: string;
}

export interface Exported {
  readonly members: readonly string[];
  /** Whether the tokenizer's files were written. */
  readonly tokenizer: boolean;
}

type Plan = RunPlan & { readonly model?: string };

/** @throws {KindredError} `not_found` where there is no run or an unfinished one, `already_exists` where `out` has files */
export async function exportRun(
  job: ExportJob,
  { log, signal }: Pick<JobContext, "log" | "signal">,
): Promise<Exported> {
  const { run, out, force } = job;
  const there = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR") throw new KindredError("invalid_option", `${out}: is a file; name a folder`, { out });
    return [];
  });
  if (there.length > 0 && !force) {
    throw new KindredError("already_exists", `${out}: is not empty; choose another folder or add --force`, { out });
  }
  const state = await readRun(run);
  try {
    const published = (await storedResult<Published>(state.records, PUBLISHED))?.value;
    const plan = (await storedResult<Plan>(state.records, "plan"))?.value;
    if (published === undefined) {
      throw new KindredError("not_found", `${run}: the run has not published its adapters yet; let it finish first`);
    }
    const { adapter, members, weights, model } = published;
    const tokenizer = await tokenizerOf(job, plan?.model, state.records, { log, signal });
    const facts = await factsOf(state.records, plan).catch((error: unknown): undefined => {
      if (!(error instanceof KindredError)) throw error;
      log.warn("the model cards are without the numbers of the run", { reason: error.message });
    });
    const names = await writeEnsemble(out, {
      baseModel: model ?? job.modelName ?? job.model ?? null,
      adapter,
      weights,
      ...(facts === undefined ? {} : { facts }),
      ...(tokenizer === undefined ? {} : { tokenizer }),
      members: (async function* () {
        for (const { name, values } of members) {
          const bytes = await state.blobs.get(values);
          yield { name, tensors: parseSafetensors(bytes, { code: "invalid_adapter", source: name }).tensors };
          log.info("member written", { name });
        }
      })(),
    });
    return { members: names, tokenizer: tokenizer !== undefined };
  } finally {
    await state.close();
  }
}

/**
 * The tokenizer of the model that the user names, or of the run's.
 * @param known the run's model, absolute where it is a path
 * @returns undefined, with a warning, where the run's is not known or not there any longer
 */
async function tokenizerOf(
  { model }: ExportJob,
  known: string | undefined,
  records: Pick<RecordReader, "clients">,
  { log, signal }: Pick<JobContext, "log" | "signal">,
): Promise<ReadonlyMap<string, Uint8Array> | undefined> {
  const place = model ?? known;
  const leftOut = (reason: string): undefined => {
    log.warn("the tokenizer's files are left out; name the model by --model DIR", { reason });
  };
  if (place === undefined) return leftOut("the configuration of the run names no model");
  try {
    const folder = await openModelFolder(await resolveModel(place, { signal }));
    const [client] = await records.clients();
    if (client !== undefined && (await modelTokenizerHash(folder)) !== client.identity.tokenizerHash) {
      throw new KindredError("model_mismatch", `${place}: its tokenizer is not the one of the run`, { model: place });
    }
    return await tokenizerFiles(folder);
  } catch (error) {
    if (model !== undefined || signal.aborted || !(error instanceof KindredError)) throw error;
    return leftOut(error.message);
  }
}

/** What the cards say of the run. */
async function factsOf(records: Pick<RecordReader, "clients" | "events">, plan: Plan | undefined): Promise<CardFacts> {
  const [client] = await records.clients();
  const { clients, scores, learningRates, groups } = await summarizeRun(readEvents(records));
  const serving = clients.filter(({ inRun }) => inRun);
  const total = (split: "train" | "validation" | "test"): number =>
    serving.reduce((sum, { rows }) => sum + (rows?.[split] ?? 0), 0);
  return {
    modelHash: client?.identity.modelHash ?? null,
    clients: serving.length,
    rows: { train: total("train"), validation: total("validation"), test: total("test") },
    scores,
    training: [
      ...(groups === null ? [] : [["groups of clients", String(groups.length)] as const]),
      ...Object.entries(learningRates).map(([subject, rate]) => [`learning rate of ${subject}`, String(rate)] as const),
      ...(plan === undefined ? [] : trainingOf(plan)),
      ["version of Kindred", manifest().version],
    ],
  };
}

const trainingOf = ({ training, base, seed }: Plan): [name: string, value: string][] => [
  ["strategy", training.strategy.kind],
  ...(training.learningRate === "auto" ? [] : [["learning rate", String(training.learningRate)] as [string, string]]),
  ["passes over each client's rows", String(training.epochs)],
  ["rows per step", String(training.batch)],
  ["base in training", base.quantization === "none" ? "float32" : base.quantization],
  ["seed", String(seed)],
];
