/**
 * The best use of a budget of sketch numbers: one wide projection, or several narrow ones with averaged margins. Estimates from sketches
 * of sketches are compared with those from the wide sketches themselves: their deviation over the projection's seed (standard error), the
 * error of their mean over seeds (bias), and the agreement on good partners (correlation over the subsets that contain a client, the
 * basis of groups).
 */
import { memberValues } from "../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../coordinator/estimation/held-out.js";
import { sampleSubsets } from "../../coordinator/estimation/sampler.js";
import { openEstimator } from "../../coordinator/stages/affinities.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { addSketch, tensorProjection } from "../../shared/sketch/projection.js";
import type { ClientSketch, LogisticRows } from "../../shared/sketch/types.js";
import { correlation, mean } from "../scenarios/harness/statistics.js";
import { plantedSketches } from "./planted-sketches.js";

const PLANS: readonly (readonly [dim: number, projections: number])[] = [
  [400, 1],
  [200, 2],
  [100, 4],
  [50, 8],
  [100, 1],
  [100, 2],
  [100, 8],
];
const SEEDS = 6;

export async function benchProjections(runtime: Runtime, print: (line: string) => void): Promise<void> {
  const size = { clients: 20, groups: 4, train: 60, validation: 60, dim: 1024, effectiveDim: 48 };
  const { sketches } = plantedSketches({ ...size, common: 0.3 });
  await measureProjections(runtime, sketches, print);
}

/** @param sketches wide sketches, whose estimates are the reference */
async function measureProjections(
  runtime: Runtime,
  sketches: readonly ClientSketch[],
  print: (line: string) => void,
): Promise<void> {
  const size = Math.min(5, sketches.length);
  const { subsets } = sampleSubsets(sketches.length, { coverage: 2, size, seed: 1 });
  const members = subsets.flatMap((subset) => [...subset]);
  const valuesOf = async (some: readonly ClientSketch[], projections: number): Promise<Float64Array> => {
    const solver = await openEstimator(some, { balance: "none", lambda: "auto", projections }, { seed: 0, runtime });
    try {
      return Float64Array.from(memberValues(await fitHeldOut(solver, subsets)).flatMap((values) => [...values]));
    } finally {
      await solver.close();
    }
  };
  const exact = await valuesOf(sketches, 1);
  print(`  ${sketches[0]!.train.dim} numbers per gradient; f_i(S) deviates by ${deviation(exact).toFixed(4)} nats`);
  for (const [dim, projections] of PLANS) {
    const draws: Float64Array[] = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const sketched = sketches.map(({ train, validation, ...rest }) => ({
        ...rest,
        train: narrowed(train, dim, projections, seed),
        validation: narrowed(validation, dim, projections, seed),
      }));
      draws.push(await valuesOf(sketched, projections));
    }
    let scatter = 0;
    let squares = 0;
    exact.forEach((f, at) => {
      const values = draws.map((draw) => draw[at]!);
      const centre = values.reduce((sum, x) => sum + x, 0) / SEEDS;
      const variance = values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (SEEDS - 1);
      scatter += variance / exact.length;
      // The mean over few seeds has a random error too, which is subtracted.
      squares += ((centre - f) ** 2 - variance / SEEDS) / exact.length;
    });
    const wanted = overClients(exact, members);
    // Nats, root mean squares over clients and subsets.
    const scattered = Math.sqrt(scatter);
    const bias = Math.sqrt(Math.max(0, squares));
    const alike = mean(draws.map((draw) => correlation(overClients(draw, members), wanted)));
    print(
      `  ${projections} x ${dim}: standard error ${scattered.toFixed(4)}, bias ${bias.toFixed(4)} nats, correlation ${alike.toFixed(3)}`,
    );
  }
}

function narrowed(rows: LogisticRows, dim: number, projections: number, seed: number): LogisticRows {
  const count = rows.margin.length;
  const width = dim * projections;
  const sketch = new Float32Array(count * width);
  for (let p = 0; p < projections; p++) {
    const projection = tensorProjection(seed, "sketch of a sketch", rows.dim, dim, p);
    for (let r = 0; r < count; r++) {
      const into = new Float64Array(dim);
      addSketch(projection, rows.sketch.subarray(r * rows.dim, (r + 1) * rows.dim), into);
      sketch.set(into, r * width + p * dim);
    }
  }
  return { ...rows, dim: width, sketch };
}

/** Each value minus the mean over the values of its client. */
function overClients(values: Float64Array, clients: readonly number[]): number[] {
  const sums = new Map<number, { sum: number; count: number }>();
  clients.forEach((client, at) => {
    const { sum, count } = sums.get(client) ?? { sum: 0, count: 0 };
    sums.set(client, { sum: sum + values[at]!, count: count + 1 });
  });
  return Array.from(values, (value, at) => {
    const { sum, count } = sums.get(clients[at]!)!;
    return value - sum / count;
  });
}

function deviation(values: Float64Array): number {
  const centre = values.reduce((sum, x) => sum + x, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / values.length);
}
