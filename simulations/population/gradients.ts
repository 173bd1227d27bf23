/**
 * `kindred gradients`: the sketches of every client of a population as files, the first stage by itself. The same rows, starts and
 * projections as a simulation of the same configuration. A client whose file is there and fits is not sketched again.
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { layoutOf, sketchDataset } from "../../client/tasks/sketch.js";
import { initialAdapter } from "../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { budgetOf } from "../../client/tuning/memory.js";
import { answerPrefixesOf } from "../../client/tuning/negatives.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import { canonicalJson } from "../../shared/base/json.js";
import { Semaphore } from "../../shared/base/semaphore.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import { type AnswerPrefix, answerSets } from "../../shared/sketch/answer-prefixes.js";
import {
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
  /** Sketch anew what is there of another configuration. */
  readonly force: boolean;
  /** Bytes that the process may take; no limit unless given. */
  readonly memory?: number;
}

export interface SketchedPopulation {
  readonly out: string;
  /** Whose sketches the folder now holds. */
  readonly clients: readonly string[];
  /** How many of them were there before. */
  readonly kept: number;
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  readonly dim: number;
  /** Floating-point operations of all sketches, of those kept too. */
  readonly flops: number;
}

/** What a file must say to be kept. */
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
  const { clients } = opened.population;
  const { base } = opened.model;
  const datasets = encodePopulation(plan, opened);
  const leftOut: { name: string; reason: string }[] = [];
  /** As in a run: one client's fault is not the others'. */
  const leaveOut = (name: string, error: unknown): void => {
    if (!(error instanceof KindredError) || error.code !== "task_failed") throw error;
    log.warn("a client is left out", { client: name, reason: error.message });
    leftOut.push({ name, reason: error.message });
  };
  const told: AnswerPrefix[][] = [];
  if (negativesOf(plan.estimation.margin) > 1)
    datasets.forEach(({ train, validation }, at) => {
      try {
        told.push(answerPrefixesOf([...train, ...validation]));
      } catch (error) {
        leaveOut(clients[at]!.name, error);
      }
    });
  const task = sketchTask(plan, answerSets(told));
  const { kind: _, ...sketching } = task;
  // Once, not a client: with hundreds of sets of other clients' answers it is megabytes.
  const configuration = canonicalJson(sketching);
  await checkFolder(out, { model: base.hash, sketching: configuration }, force);
  await mkdir(out, { recursive: true });
  const runtime = await openRuntime({ ...plan.runtime, ...(memory === undefined ? {} : { memory }) });
  const compiledGraphs = new CompiledGraphs(runtime, base, budgetOf(memory, base, log, { trains: false }));
  const stage = progress.stage("sketch gradients", clients.length);
  let kept = 0;
  let flops = 0;
  try {
    const layout = layoutOf(compiledGraphs, task.adapter);
    const adapter = { layout, values: initialAdapter(layout, task.adapter.initSeed) };
    const gate = new Semaphore(plan.concurrency);
    const one = async (at: number): Promise<void> => {
      throwIfAborted(signal);
      const { name } = clients[at]!;
      if (leftOut.some((one) => one.name === name)) return;
      const dataset = datasets[at]!;
      const path = join(out, sketchFileName(at));
      const marks: Marks = {
        format: "kindred-sketches",
        client: name,
        model: base.hash,
        sketching: configuration,
        data: rowsHash(dataset, ["train", "validation"]),
      };
      const before = await sketchMetadata(path);
      if (before !== undefined && Object.entries(marks).every(([key, value]) => before.get(key) === value)) {
        kept++;
        flops += Number(before.get("flops"));
        return;
      }
      const meter = new Meter(signal);
      try {
        const sketches = await sketchDataset(compiledGraphs, dataset, task, adapter, { meter });
        const counts = { trainExamples: String(dataset.train.length), flops: String(meter.flops) };
        await writeSketchFile(path, sketches, { ...marks, ...counts });
        flops += meter.flops;
      } catch (error) {
        leaveOut(name, error);
      }
    };
    await Promise.all(clients.map((_, at) => gate.run(() => one(at)).then(() => stage.tick())));
    const missing = new Set(leftOut.map(({ name }) => name));
    const sketched = clients
      .map(({ name }, at) => ({ name, file: sketchFileName(at), trainExamples: datasets[at]!.train.length }))
      .filter(({ name }) => !missing.has(name));
    if (sketched.length === 0) {
      const [first] = leftOut;
      throw new KindredError(
        "quorum_not_met",
        `no client's rows could be sketched; of ${first?.name}: ${first?.reason}`,
      );
    }
    const { projections } = task;
    const dim = sketchWidth(task);
    const index = { model: base.hash, dim, projections, sketching, clients: sketched, leftOut, flops };
    await writeSketchIndex(out, index);
    log.info("sketches written", { out, clients: sketched.length, kept });
    return { out, clients: sketched.map(({ name }) => name), kept, leftOut, dim, flops };
  } finally {
    stage.done();
    await compiledGraphs.close();
    await runtime.close();
  }
}

/** Refuses a folder with sketches of something else: a later stage would take both for one population. */
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
