/**
 * What folding a round of updates takes: peak memory above what the process has before, in bytes and in adapters, time, and the
 * longest time in which the event loop answered nobody. The updates lie in a state's folder, as they do at a coordinator; each
 * fold is measured in a process of its own.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoringSink, type TensorBlobs } from "../../coordinator/rounds/stored-tensors.js";
import { openState } from "../../coordinator/storage/open.js";
import { CHUNK_VALUES, chunksOf, type TensorShapes } from "../../coordinator/strategies/tensors.js";
import type { StrategySettings } from "../../shared/config/strategies.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { inChildProcess } from "./child-process.js";

export interface AggregationCase {
  /** Folder of the state. */
  readonly state: string;
  readonly strategy: StrategySettings["kind"];
  /** File with the `StoredRound`, as JSON: a thousand references are too long for an argument. */
  readonly round: string;
}

export interface StoredRound {
  readonly start: BlobRef;
  readonly updates: readonly BlobRef[];
}

export interface AggregationFigures {
  /** Resident set before the fold, bytes. */
  readonly baseBytes: number;
  /** Largest resident set, bytes. */
  readonly peakBytes: number;
  readonly seconds: number;
  /** Longest time between two turns of the event loop, milliseconds. Other processes' work counts where they share a processor. */
  readonly longestGapMs: number;
  /** Most processor time of this process, all its threads, between two turns of the event loop, milliseconds. */
  readonly longestWorkMs: number;
  readonly accepted: number;
}

const MB = 1e6;
const SIZES = [
  { clients: 100, adapterBytes: 40 * MB, strategies: ["fedavg", "fedexp", "fedadam"] },
  { clients: 1000, adapterBytes: 4 * MB, strategies: ["fedavg", "fedexp", "fedadam", "median", "norm-bounded"] },
] as const;

export async function benchAggregation(print: (line: string) => void, { json = false } = {}): Promise<void> {
  for (const { clients, adapterBytes, strategies } of SIZES) {
    const folder = await mkdtemp(join(tmpdir(), "kindred-aggregation-"));
    try {
      const round = join(folder, "round.json");
      await writeFile(round, JSON.stringify(await storedUpdates(folder, clients, adapterBytes)));
      for (const strategy of strategies) {
        const given: AggregationCase = { state: folder, strategy, round };
        const found = await inChildProcess<AggregationFigures>("./aggregation-child.js", given);
        const aboveBytes = found.peakBytes - found.baseBytes;
        const figures = { clients, adapterBytes, strategy, ...found, aboveBytes, adapters: aboveBytes / adapterBytes };
        print(json ? JSON.stringify(figures) : lineOf(figures));
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

type Figures = AggregationFigures & {
  readonly clients: number;
  readonly adapterBytes: number;
  readonly strategy: string;
  readonly aboveBytes: number;
  readonly adapters: number;
};

function lineOf(figures: Figures): string {
  const { clients, adapterBytes, strategy, aboveBytes, adapters, seconds, longestGapMs, longestWorkMs, baseBytes } =
    figures;
  const mb = (bytes: number): string => `${(bytes / MB).toFixed(0)} MB`;
  return (
    `  ${strategy}, ${clients} clients x ${mb(adapterBytes)}: ${mb(aboveBytes)} above ${mb(baseBytes)}, ` +
    `${adapters.toFixed(2)} adapters; ${seconds.toFixed(1)} s; longest gap ${longestGapMs.toFixed(0)} ms, work in a gap ${longestWorkMs.toFixed(0)} ms`
  );
}

/** A round's start, and updates a little beside it, written in chunks. */
async function storedUpdates(folder: string, clients: number, adapterBytes: number): Promise<StoredRound> {
  const state = await openState(folder);
  try {
    const layers = 10;
    const shape = [adapterBytes / 4 / layers / 16, 16];
    const names = Array.from({ length: layers }, (_, at) => `layers.${at}.q_proj.lora_B.weight`);
    const shapes: TensorShapes = new Map(names.map((name) => [name, { shape }]));
    const buffer = new Float32Array(CHUNK_VALUES);
    const updates: BlobRef[] = [];
    const start = await stored(state.blobs, shapes, buffer, 0);
    for (let client = 1; client <= clients; client++) updates.push(await stored(state.blobs, shapes, buffer, client));
    return { start, updates };
  } finally {
    await state.close();
  }
}

/** Values of -0.01 to 0.01, other ones for each seed (a multiplicative generator: what is drawn does not matter). */
async function stored(blobs: TensorBlobs, shapes: TensorShapes, buffer: Float32Array, seed: number): Promise<BlobRef> {
  const sink = await StoringSink.begin(blobs, shapes);
  let state = 12345 + 7919 * seed;
  for (const { count } of chunksOf(shapes, CHUNK_VALUES)) {
    const part = buffer.subarray(0, count);
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      part[i] = state * (0.01 / 2 ** 31);
    }
    await sink.append(part);
  }
  return (await sink.finish()).ref;
}
