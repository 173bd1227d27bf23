/**
 * Time of the estimation: all surrogates of the sampled subsets, and every f_i(S), on a runtime; beside scikit-learn's
 * LogisticRegression on a sample of the same subsets. Processor time is printed beside wall time: it does not depend on other load.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { affinityMatrix } from "../../coordinator/estimation/affinity.js";
import { createBatchedSolver } from "../../coordinator/estimation/batched.js";
import { memberValues } from "../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../coordinator/estimation/held-out.js";
import { buildProblem, type EstimationProblem } from "../../coordinator/estimation/problem.js";
import { sampleSubsets } from "../../coordinator/estimation/sampler.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { type PeerFigures, runPeer } from "./peers.js";
import { plantedSketches } from "./planted-sketches.js";

export interface EstimationCase {
  readonly clients: number;
  readonly subsets: number;
  readonly subsetSize: number;
  readonly dim?: number;
  readonly train?: number;
  readonly validation?: number;
  readonly seed?: number;
  /** One lambda_0. @default the path */
  readonly lambda?: number;
}

/** Wall and processor time. */
export interface Seconds {
  readonly clock: number;
  readonly processor: number;
}

export interface EstimationBench {
  /** Checking, uploading and rotating the sketches, and drawing the subsets. */
  readonly prepare: Seconds;
  /** All surrogates, and the losses that choose lambda. */
  readonly fit: Seconds;
  /** All f_i(S) and the affinity matrix. */
  readonly values: Seconds;
  readonly total: Seconds;
  /** Largest over the subsets, where the mean squared norm of g is 1. */
  readonly gradientNorm: number;
  readonly newtonSteps: number;
  readonly hessianProducts: number;
  /** Peak of this process so far. */
  readonly peakBytes: number;
}

/** Subsets solved with scikit-learn: a few seconds. */
const PEER_SUBSETS = 8;

/** One lambda, as in scikit-learn, and the path, the default. */
export async function benchEstimation(runtime: Runtime, print: (line: string) => void): Promise<void> {
  await measureEstimation(runtime, { clients: 100, subsets: 1000, subsetSize: 10 }, print);
  const size = { clients: 500, subsets: 2000, subsetSize: 25 };
  await measureEstimation(runtime, { ...size, lambda: 1e-3 }, print, true);
  await measureEstimation(runtime, size, print);
}

/** 2,000 clients: the cost of a very large population. */
export async function benchLargeEstimation(runtime: Runtime, print: (line: string) => void): Promise<void> {
  await measureEstimation(runtime, { clients: 2000, subsets: 10_000, subsetSize: 45, lambda: 1e-3 }, print);
}

/** @param peer whether to time scikit-learn on a few subsets: margins are then zero, since it has no offsets */
export async function measureEstimation(
  runtime: Runtime,
  { clients, subsets, subsetSize, dim = 400, train = 100, validation = 20, seed = 0, lambda }: EstimationCase,
  print: (line: string) => void,
  peer = false,
): Promise<EstimationBench> {
  const { sketches } = plantedSketches({ clients, groups: 5, train, validation, dim, seed });
  if (peer) for (const sketch of sketches) sketch.train.margin.fill(0);
  const start = now();
  const problem = buildProblem(sketches);
  const plan = sampleSubsets(clients, { size: subsetSize, subsets, seed });
  const solver = await createBatchedSolver(problem, runtime, { lambda });
  const prepared = now();
  const fits = await fitHeldOut(solver, plan.subsets);
  const fitted = now();
  affinityMatrix(clients, plan.subsets, memberValues(fits));
  const end = now();
  const result: EstimationBench = {
    prepare: between(start, prepared),
    fit: between(prepared, fitted),
    values: between(fitted, end),
    total: between(start, end),
    gradientNorm: fits.gradientNorm.reduce((a, b) => Math.max(a, b), 0),
    newtonSteps: fits.steps,
    hessianProducts: fits.products,
    peakBytes: peakRssBytes(),
  };
  const { total, prepare, fit, values } = result;
  const both = ({ clock, processor }: Seconds) => `${clock.toFixed(2)} s (processors ${processor.toFixed(2)})`;
  print(
    `  ${clients} clients x ${train} examples, ${plan.subsets.length} subsets of ${subsetSize}, d = ${dim}, seed ${seed}, ` +
      `${lambda === undefined ? "default path of lambda" : `lambda ${lambda}`}: ${both(total)}; prepare ${both(prepare)}, ` +
      `fit ${both(fit)}, values ${both(values)}; gradient norm ${result.gradientNorm.toExponential(1)}, ` +
      `${result.newtonSteps} Newton steps, ${result.hessianProducts} products, peak ${(result.peakBytes / 2 ** 30).toFixed(2)} GiB`,
  );
  if (peer && lambda !== undefined) {
    const step = Math.max(1, Math.floor(plan.subsets.length / PEER_SUBSETS));
    const sample = plan.subsets.map((_, k) => k).filter((k) => k % step === 0);
    const some = sample.slice(0, PEER_SUBSETS).map((k) => plan.subsets[k]!);
    const ours = (await solver.fit(some)).objective;
    const figures = await runLogistic(problem, some, lambda, print);
    if (figures !== undefined) compare(figures, ours, plan.subsets.length, total, print);
  }
  await solver.close();
  return result;
}

interface Instant {
  readonly ms: number;
  readonly usage: NodeJS.CpuUsage;
}

function now(): Instant {
  return { ms: performance.now(), usage: process.cpuUsage() };
}

function between(from: Instant, to: Instant): Seconds {
  return {
    clock: (to.ms - from.ms) / 1000,
    processor: (to.usage.user + to.usage.system - from.usage.user - from.usage.system) / 1e6,
  };
}

interface LogisticFigures extends PeerFigures {
  readonly processor: Readonly<Record<string, number>>;
  readonly gradient: Readonly<Record<string, number>>;
  /** Of each subset. */
  readonly optima: readonly number[];
}

async function runLogistic(
  problem: EstimationProblem,
  subsets: readonly Int32Array[],
  lambda: number,
  print: (line: string) => void,
): Promise<LogisticFigures | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "kindred-bench-"));
  try {
    const parts = problem.train.map(
      ({ sketch }) => new Uint8Array(sketch.buffer, sketch.byteOffset, sketch.byteLength),
    );
    await writeFile(join(folder, "rows.f32"), Buffer.concat(parts));
    // lambda_S = 120 lambda_0 scale^2 / N_S, and scikit-learn's C = 1 / (2 lambda_S N_S).
    const penalty = 1 / (2 * 120 * lambda * problem.scale ** 2);
    await writeFile(
      join(folder, "task.json"),
      JSON.stringify({
        dim: problem.dim,
        rows: problem.train[0]!.margin.length,
        subsets: subsets.map((subset) => [...subset]),
        penalty: subsets.map(() => penalty),
      }),
    );
    return (await runPeer("logistic.py", [folder], print)) as LogisticFigures | undefined;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function compare(
  { all, processor, gradient, optima }: LogisticFigures,
  ours: Float64Array,
  subsets: number,
  total: Seconds,
  print: (line: string) => void,
): void {
  for (const [way, seconds] of Object.entries(all ?? {}))
    print(
      `  scikit-learn, ${way}: ${(1000 * seconds).toFixed(1)} ms per subset (processors ${(1000 * processor[way]!).toFixed(1)}), ` +
        `gradient norm ${gradient[way]!.toExponential(1)}; ours end to end ${((1000 * total.clock) / subsets).toFixed(2)} ms ` +
        `(processors ${((1000 * total.processor) / subsets).toFixed(2)}): ratio ${((seconds * subsets) / total.clock).toFixed(1)} ` +
        `by the clock, ${((processor[way]! * subsets) / total.processor).toFixed(1)} by processor time`,
    );
  const gap = optima.reduce((most, theirs, k) => Math.max(most, Math.abs(theirs - ours[k]!)), 0);
  print(`  objectives of the ${optima.length} subsets agree within ${gap.toExponential(1)}`);
}
