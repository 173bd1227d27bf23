/**
 * The job of `kindred estimate`: the second stage alone, from files of sketches to files of affinities. It knows nothing of the
 * program that wrote the sketches.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { memberValues } from "../../coordinator/estimation/evaluate.js";
import { firstSubsets } from "../../coordinator/estimation/precision.js";
import {
  type EstimationFacts,
  type EstimationSettings,
  estimateAffinities,
  factsOf,
  openEstimator,
  samplingOf,
} from "../../coordinator/stages/affinities.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { makePrivateFolder } from "../../shared/base/private.js";
import { unitOf } from "../../shared/base/progress.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import { MeteredRuntime } from "../../shared/runtimes/metered.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { readSketches, readSketchIndex, type SketchIndex } from "../../shared/sketch/folder.js";
import { FILES, writeMatrix, writeSubsets } from "./stage-files.js";

export interface EstimateJob {
  /** Folder that `kindred gradients` wrote. */
  readonly sketches: string;
  /** Folder to write. */
  readonly out: string;
  /** Replace what is there. */
  readonly force: boolean;
  readonly settings: EstimationSettings;
  /** Draws the subsets and folds. @default that of the sketches */
  readonly seed?: number | undefined;
  readonly runtime: RuntimeChoice;
}

/** What `estimate.json` holds. */
export interface EstimateFile {
  readonly format: "kindred-estimate";
  readonly version: 1;
  readonly clients: readonly string[];
  readonly settings: EstimationSettings & { readonly seed: number };
  /** The origin of the sketches, as their index says. */
  readonly sketches: Pick<SketchIndex, "model" | "dim" | "projections" | "sketching">;
  readonly facts: EstimationFacts;
  readonly cost: { readonly flops: number; readonly seconds: number };
}

/** The seed of the sketches, by which a simulation draws its subsets too; 0 where their index has none. */
export function seedOf({ sketching }: SketchIndex): number {
  return typeof sketching.seed === "number" && Number.isSafeInteger(sketching.seed) ? sketching.seed : 0;
}

/** @throws {KindredError} `already_exists` where `out` holds an estimate, without `force`; as the sketches' reader and the sampler */
export async function estimateFiles(job: EstimateJob, { log, progress, signal }: JobContext): Promise<EstimateFile> {
  const { out, settings } = job;
  if (existsSync(join(out, FILES.estimate)) && !job.force)
    throw new KindredError(
      "already_exists",
      `${out}: holds an estimate; choose another --out, or add --force to replace it`,
      { out },
    );
  const index = await readSketchIndex(job.sketches);
  const seed = job.seed ?? seedOf(index);
  firstSubsets(index.clients.length, samplingOf(settings, seed)); // subsets that cannot be drawn are refused before the files are read
  const clients = index.clients.map(({ name }) => name);
  const sketches = await readSketches(job.sketches, index);
  const opened = await openRuntime(job.runtime);
  const runtime = new MeteredRuntime(opened);
  const stage = progress.stage("estimate affinities", settings.standardError === "auto" ? 1 : 0);
  const begun = performance.now();
  try {
    const solver = await openEstimator(
      sketches,
      { ...settings, projections: index.projections },
      { seed, runtime, signal },
    );
    try {
      const sampled = await estimateAffinities(solver, settings, seed, unitOf(stage));
      const [first, second] = [memberValues(sampled.fits, 0), memberValues(sampled.fits, 1)];
      const values = memberValues(sampled.fits);
      const subsets = sampled.plan.subsets.map((members, k) => {
        return { members: [...members], values: values[k]!, halves: [first[k]!, second[k]!] as const };
      });
      stage.done({ subsets: subsets.length });
      const file: EstimateFile = {
        format: "kindred-estimate",
        version: 1,
        clients,
        settings: { ...settings, seed },
        sketches: {
          ...(index.model === undefined ? {} : { model: index.model }),
          dim: index.dim,
          projections: index.projections,
          sketching: index.sketching,
        },
        facts: factsOf(solver, sampled),
        cost: { flops: runtime.flops, seconds: (performance.now() - begun) / 1000 },
      };
      makePrivateFolder(out);
      await writeMatrix(join(out, FILES.affinity), { clients, matrix: sampled.affinity.matrix });
      await writeMatrix(join(out, FILES.errors), { clients, matrix: sampled.errors.matrix });
      await writeSubsets(join(out, FILES.subsets), clients, subsets);
      // Last: where it is, the others are whole.
      await writeAtomically(join(out, FILES.estimate), `${JSON.stringify(file, null, 1)}\n`);
      log.info("estimate written", { out, subsets: subsets.length });
      return file;
    } finally {
      await solver.close();
    }
  } finally {
    await opened.close();
  }
}
