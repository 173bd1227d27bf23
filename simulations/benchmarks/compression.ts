/**
 * What compression of updates costs and saves: the demo's population, really trained, with values as they are, with halves and with
 * 8 bits; and how far blocks of 64 and rows of 8-bit codes err on the differences of a real run.
 */

import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunEvent } from "../../coordinator/events/events.js";
import { readState } from "../../coordinator/storage/open.js";
import type { RecordReader } from "../../coordinator/storage/types.js";
import { parseSafetensors } from "../../shared/adapters/safetensors.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import { silentLog } from "../../shared/base/log.js";
import { silentProgress } from "../../shared/base/progress.js";
import type { FloatTensor } from "../../shared/base/tensors.js";
import { simulationPlan } from "../../shared/config/config.js";
import { fromCoded, INT8_BLOCK, toInt8 } from "../../shared/transforms/coded.js";
import { COMPRESSIONS } from "../../shared/transforms/names.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { DEMO_OPTIONS } from "../demo/demo.js";
import { DEMO_MODEL } from "../demo/demo-model.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import { runSimulation } from "../simulate.js";

const SEEDS = [0, 1, 2];

/** Prints one line per seed and compression: Kindred's means over clients on test rows, and the bytes that clients sent. */
export async function benchCompression(print: (line: string) => void, seeds: readonly number[] = SEEDS): Promise<void> {
  for (const seed of seeds) {
    const folder = await mkdtemp(join(tmpdir(), "kindred-compression-"));
    try {
      const population = join(folder, "population.jsonl");
      await writeAtomically(population, populationLines(plantedPopulation({ seed })));
      for (const compression of COMPRESSIONS) {
        const out = join(folder, compression);
        const plan = simulationPlan({
          title: compression,
          model: DEMO_MODEL,
          population,
          seed,
          ...DEMO_OPTIONS,
          compare: ["base"],
          transport: { compression },
        });
        const signal = new AbortController().signal;
        const report = await runSimulation(plan, {
          out,
          force: false,
          keepUpdates: true,
          log: silentLog,
          progress: silentProgress,
          signal,
        });
        const { mean } = report.methods.kindred!;
        const { bytesUp, stages } = report.cost.kindred!;
        const rounds = (stages.train?.bytesUp ?? 0) + (stages.boost?.bytesUp ?? 0);
        const accuracy = (100 * (mean.accuracy ?? Number.NaN)).toFixed(2);
        print(
          `  seed ${seed}, ${compression.padEnd(4)}: loss ${mean.loss.toFixed(4)}, accuracy ${accuracy} %; ${mega(bytesUp)} MB up, ${mega(rounds)} of them in rounds`,
        );
        if (compression === "none") print(await blockErrors(join(out, "state")));
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Root mean square of what rounding takes, relative to the differences, for blocks and for rows. */
async function blockErrors(url: string): Promise<string> {
  const state = await readState(url);
  try {
    const sums = { blocks: 0, rows: 0, all: 0 };
    const bytes = { blocks: 0, rows: 0 };
    let updates = 0;
    for (const { from, values } of await updatesOf(state.records)) {
      const start = parseSafetensors(await state.blobs.get(from)).tensors;
      for (const [name, { shape, data }] of parseSafetensors(await state.blobs.get(values)).tensors) {
        const before = start.get(name)!.data;
        const difference = { shape, data: data.map((value, i) => value - before[i]!) };
        const width = shape.at(-1)!;
        sums.all += squares(difference.data);
        sums.blocks += rounding(difference, INT8_BLOCK);
        sums.rows += rounding(difference, Math.min(width, INT8_BLOCK));
        bytes.blocks += data.length + 4 * Math.ceil(data.length / INT8_BLOCK);
        bytes.rows += data.length + 4 * (data.length / width);
      }
      updates++;
    }
    const relative = (sum: number): string => Math.sqrt(sum / sums.all).toFixed(4);
    const more = (bytes.rows / bytes.blocks).toFixed(2);
    return `    int8 on ${updates} updates: relative error ${relative(sums.blocks)} with blocks of ${INT8_BLOCK}, ${relative(sums.rows)} with rows, which take ${more} times the bytes`;
  } finally {
    await state.close();
  }
}

/** Updates of all rounds that had a start. */
async function updatesOf(records: RecordReader): Promise<{ from: BlobRef; values: BlobRef }[]> {
  const updates: { from: BlobRef; values: BlobRef }[] = [];
  for (const { json } of await records.events(1)) {
    const event = JSON.parse(json) as RunEvent;
    if (event.type !== "task-done" || event.kind !== "trainAdapter") continue;
    const id = createHash("sha256")
      .update(JSON.stringify([event.client, event.task]))
      .digest("hex");
    const stored = await records.task(id);
    if (stored?.task.kind !== "trainAdapter" || stored.task.start === undefined || !stored.outcome?.ok) continue;
    if (stored.outcome.result.kind !== "trainAdapter") continue;
    updates.push({ from: stored.task.start, values: stored.outcome.result.values });
  }
  return updates;
}

function rounding({ data }: FloatTensor, block: number): number {
  let sum = 0;
  for (let from = 0; from < data.length; from += block) {
    const part = data.subarray(from, from + block);
    const read = fromCoded(toInt8({ shape: [part.length], data: part })).data;
    sum += squares(part.map((value, i) => value - read[i]!));
  }
  return sum;
}

const squares = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);
