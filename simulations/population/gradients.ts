/**
 * `kindred gradients`: writes the sketches of every client of a population as files, which is the first stage of a run. Rows, start
 * values and projections are those of a simulation with the same configuration. A client whose file is up to date is not sketched
 * again.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { EncodedDataset } from "../../client/data/types.js";
import { layoutOf, sketchDataset } from "../../client/tasks/sketch.js";
import { initialAdapter } from "../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { budgetOf } from "../../client/tuning/memory.js";
import { answerPrefixesOf } from "../../client/tuning/negatives.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import { canonicalJson } from "../../shared/base/json.js";
import type { Logger } from "../../shared/base/log.js";
import { makePrivateFolder } from "../../shared/base/private.js";
import { unitOf } from "../../shared/base/progress.js";
import { Semaphore } from "../../shared/base/semaphore.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import { type AnswerPrefix, answerSets } from "../../shared/sketch/answer-prefixes.js";
import {
  type IndexedClient,
  readSketchIndex,
  SKETCH_INDEX,
  sketchFileName,
  sketchMetadata,
  writeSketchFile,
  writeSketchIndex,
} from "../../shared/sketch/folder.js";
import { negativesOf, sketchTask, sketchWidth } from "../../tasks/sketch-gradients/message.js";
import { encodePopulation, openPopulation, rowsHash } from "./open.js";

export interface GradientsJob {
  /** Folder to write. */
  readonly out: string;
  /** Whether sketches of another configuration are replaced. */
  readonly force: boolean;
  /** Bytes that the process may take. @default no limit */
  readonly memory?: number;
}

export interface SketchedPopulation {
  readonly out: string;
  /** Clients with sketches in the folder. */
  readonly clients: readonly string[];
  /** Number of clients whose sketches were kept. */
  readonly kept: number;
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  readonly dim: number;
  /** Floating-point operations of all sketches, kept ones included. */
  readonly flops: number;
}

/** Metadata of a client's file; the file is kept where all of them are equal. */
type Marks = Readonly<Record<"format" | "client" | "model" | "sketching" | "data", string>>;

/**
 * Sketches a population into a folder.
 * @throws {KindredError} `already_exists` for a folder of another configuration, without `force`; what reading rows and model
 *   throws; `quorum_not_met` where no client's rows could be sketched
 */
export async function sketchPopulation(
  plan: SimulationPlan,
  { out, force, memory }: GradientsJob,
  context: JobContext,
): Promise<SketchedPopulation> {
  const { log, progress, signal } = context;
  const opened = await openPopulation(plan, context);
  const { base } = opened.model;
  const clients = new Clients(opened.population.clients, await encodePopulation(plan, opened, log), log);
  const task = sketchTask(plan, answerSets(negativesOf(plan.estimation.margin) > 1 ? clients.answerPrefixes() : []));
  const { kind: _, ...sketching } = task;
  // Serialised once, not per client: with hundreds of sets of other clients' answers it has megabytes.
  const configuration = canonicalJson(sketching);
  await checkFolder(out, { model: base.hash, sketching: configuration }, force);
  makePrivateFolder(out);
  const runtime = await openRuntime({ ...plan.runtime, ...(memory === undefined ? {} : { memory }) });
  const compiledGraphs = new CompiledGraphs(runtime, base, budgetOf(memory, base, log, { trains: false }));
  const stage = progress.stage("sketch gradients", clients.count);
  try {
    const layout = layoutOf(compiledGraphs, task.adapter);
    const adapter = { layout, values: initialAdapter(layout, task.adapter.initSeed) };
    const write = async (path: string, dataset: EncodedDataset, marks: Marks, onShare: (share: number) => void) => {
      const meter = new Meter(signal);
      const sketches = await sketchDataset(compiledGraphs, dataset, task, adapter, { meter, onShare });
      const counts = { trainExamples: String(dataset.train.length), flops: String(meter.flops) };
      await writeSketchFile(path, sketches, { ...marks, ...counts });
      return meter.flops;
    };
    const semaphore = new Semaphore(plan.concurrency);
    const one = async (at: number): Promise<void> => {
      throwIfAborted(signal);
      const onShare = unitOf(stage);
      await clients.sketch(at, {
        out,
        model: base.hash,
        sketching: configuration,
        write: (path, dataset, marks) => write(path, dataset, marks, onShare),
      });
      onShare(1);
    };
    await Promise.all(Array.from({ length: clients.count }, (_, at) => semaphore.run(() => one(at))));
    const sketched = clients.sketched();
    const { leftOut, kept, flops } = clients;
    const dim = sketchWidth(task);
    const { projections } = task;
    await writeSketchIndex(out, { model: base.hash, dim, projections, sketching, clients: sketched, leftOut, flops });
    stage.done();
    log.info("sketches written", { out, clients: sketched.length, kept });
    return { out, clients: sketched.map(({ name }) => name), kept, leftOut, dim, flops };
  } finally {
    await compiledGraphs.close();
    await runtime.close();
  }
}

/** How a client's file is written, and the metadata that is equal for all clients. */
interface FileWriter {
  readonly out: string;
  readonly model: string;
  readonly sketching: string;
  /** Sketches and writes. @returns floating-point operations */
  write(path: string, dataset: EncodedDataset, marks: Marks): Promise<number>;
}

/** The clients of a population: which are sketched, kept or left out. As in a run, the fault of one client does not stop others. */
class Clients {
  readonly leftOut: { name: string; reason: string }[] = [];
  kept = 0;
  flops = 0;

  constructor(
    private readonly clients: readonly { readonly name: string }[],
    private readonly datasets: readonly EncodedDataset[],
    private readonly log: Logger,
  ) {}

  get count(): number {
    return this.clients.length;
  }

  /** Prefixes of the clients' answers. A client that has too many is left out. */
  answerPrefixes(): AnswerPrefix[][] {
    return this.datasets.flatMap(({ train, validation }, at) => {
      try {
        return [answerPrefixesOf([...train, ...validation])];
      } catch (error) {
        this.leaveOut(at, error);
        return [];
      }
    });
  }

  /** Sketches one client, unless its file is up to date. */
  async sketch(at: number, { out, model, sketching, write }: FileWriter): Promise<void> {
    const { name } = this.clients[at]!;
    if (this.leftOut.some((client) => client.name === name)) return;
    const dataset = this.datasets[at]!;
    const path = join(out, sketchFileName(at));
    const data = rowsHash(dataset, ["train", "validation"]);
    const marks: Marks = { format: "kindred-sketches", client: name, model, sketching, data };
    const before = await sketchMetadata(path);
    if (before !== undefined && Object.entries(marks).every(([key, value]) => before.get(key) === value)) {
      this.kept++;
      this.flops += Number(before.get("flops"));
      return;
    }
    try {
      const flops = await write(path, dataset, marks);
      this.flops += flops; // read after the wait: clients are sketched concurrently
    } catch (error) {
      this.leaveOut(at, error);
    }
  }

  /** The clients with a file, in the population's order. @throws {KindredError} `quorum_not_met` where there is none */
  sketched(): IndexedClient[] {
    const missing = new Set(this.leftOut.map(({ name }) => name));
    const sketched = this.clients
      .map(({ name }, at) => ({ name, file: sketchFileName(at), trainExamples: this.datasets[at]!.train.length }))
      .filter(({ name }) => !missing.has(name));
    if (sketched.length > 0) return sketched;
    const [first] = this.leftOut;
    throw new KindredError(
      "quorum_not_met",
      `no client's rows could be sketched; reason for ${first?.name}: ${first?.reason}`,
    );
  }

  private leaveOut(at: number, error: unknown): void {
    if (!(error instanceof KindredError) || error.code !== "task_failed") throw error;
    const { name } = this.clients[at]!;
    this.log.warn("a client is left out", { client: name, reason: error.message });
    this.leftOut.push({ name, reason: error.message });
  }
}

/** Refuses a folder with sketches of another configuration: a later stage would read both as one population. */
async function checkFolder(
  out: string,
  { model, sketching }: { readonly model: string; readonly sketching: string },
  force: boolean,
): Promise<void> {
  if (force) return;
  const index = (await stat(join(out, SKETCH_INDEX)).catch(() => undefined)) && (await readSketchIndex(out));
  const first = index ? undefined : await sketchMetadata(join(out, sketchFileName(0)));
  const there = index
    ? { model: index.model, sketching: canonicalJson(index.sketching) }
    : { model: first?.get("model"), sketching: first?.get("sketching") };
  if (there.model === undefined && there.sketching === undefined) return;
  if (there.model === model && there.sketching === sketching) return;
  throw new KindredError(
    "already_exists",
    `${out}: holds sketches of another configuration; choose another --out, or add --force to replace them`,
    { out },
  );
}
