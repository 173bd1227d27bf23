/**
 * Speed of the grouping relaxation with its certificate, beside cvxpy with SCS on the same matrix in the same run.
 * SCS stops by its own residuals and proves no bound on the objective; its error is measured against ours.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { standardiseAffinity } from "../../coordinator/grouping/density.js";
import { solveGroupingSdp } from "../../coordinator/grouping/sdp.js";
import { SeededRng } from "../../shared/base/random.js";
import { runPeer } from "./peers.js";

/** Noise relative to a group's bonus: at 1 the relaxation is tight or almost tight, at 3 far from it. */
const CASES = [
  { clients: 100, groups: 5, noise: 1 },
  { clients: 100, groups: 5, noise: 3 },
  { clients: 500, groups: 10, noise: 1 },
  { clients: 500, groups: 10, noise: 3 },
] as const;

/** A standardised affinity with planted groups i mod `groups` and noise. */
export function plantedAffinity(clients: number, groups: number, noise: number, seed = 0): Float64Array[] {
  const rng = new SeededRng(seed, "affinity", clients, groups);
  return standardiseAffinity(
    Array.from({ length: clients }, (_, i) =>
      Float64Array.from({ length: clients }, (_, j) => (i % groups === j % groups ? 1 : 0) + noise * rng.normal()),
    ),
  );
}

export async function benchSdp(print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "kindred-sdp-"));
  try {
    // After a warm-up, as within a search.
    await solveGroupingSdp(plantedAffinity(60, 4, 1), { groups: 4 });
    for (const { clients, groups, noise } of CASES) {
      const affinity = plantedAffinity(clients, groups, noise);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const start = performance.now();
      const solved = await solveGroupingSdp(affinity, { groups });
      const seconds = (performance.now() - start) / 1000;
      delay.disable();
      print(
        `  ${clients} clients, ${groups} groups, noise ${noise}: ${seconds.toFixed(2)} s, ${solved.iterations} iterations, objective ${solved.objective.toFixed(3)}, proved within ${solved.gap.toExponential(1)}; longest gap of the event loop ${(delay.max / 1e6).toFixed(0)} ms`,
      );
      const matrix = join(folder, "matrix.f64");
      const flat = new Float64Array(clients * clients);
      affinity.forEach((row, i) => {
        flat.set(row, i * clients);
      });
      await writeFile(matrix, new Uint8Array(flat.buffer));
      const peer = await runPeer("sdp.py", ["--matrix", matrix, "--groups", String(groups)], print);
      if (peer?.objective === undefined) continue;
      const off = (peer.objective - solved.objective) / Math.abs(solved.objective);
      print(`  ratio ${(peer.seconds / seconds).toFixed(2)}; SCS's objective differs by ${off.toExponential(1)}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
