/**
 * The job of `kindred affinity explain`: explains the group of a client from the sketches in the run's state. It reads the state beside a
 * coordinator at work and changes nothing in it.
 */

import { SurrogateEvaluator } from "../../coordinator/estimation/partition-evaluator.js";
import { PartitionConstraints } from "../../coordinator/grouping/constraints.js";
import { ESTIMATE, type StoredEstimate } from "../../coordinator/methods/kindred/estimate.js";
import { storedResult } from "../../coordinator/run/journal.js";
import { openEstimator } from "../../coordinator/stages/affinities.js";
import { type ExplainQuestion, type Explanation, explainClient } from "../../coordinator/stages/explain.js";
import type { StateReader } from "../../coordinator/storage/types.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { decodeSketches } from "../../shared/sketch/codec.js";
import type { ClientSketch } from "../../shared/sketch/types.js";
import { readRun } from "./read-run.js";

export interface ExplainJob extends ExplainQuestion {
  /** A simulation's folder, or a coordinator's state. */
  readonly run: string;
  readonly runtime: RuntimeChoice;
}

/** @throws {KindredError} `not_found` where run, estimate or sketches are not there; `invalid_option` for an unknown client */
export async function explainRun(job: ExplainJob, { progress, signal }: JobContext): Promise<Explanation> {
  const state = await readRun(job.run);
  try {
    const stored = await storedResult<StoredEstimate>(state.records, ESTIMATE);
    if (stored === undefined)
      throw new KindredError(
        "not_found",
        `${job.run}: the run has not estimated its affinities yet; let it come so far first`,
      );
    const { clients, affinity, partition, reason, rejected, evidence } = stored.value;
    if (evidence === undefined)
      throw new KindredError(
        "not_found",
        `${job.run}: was made by an earlier Kindred, which did not keep what explaining needs; run it again`,
      );
    const out = rejected.find(({ client }) => client === job.client);
    if (out !== undefined)
      throw new KindredError("not_found", `client ${brief(job.client)} is in no group: ${out.reason}`, {
        client: job.client,
      });
    const stage = progress.stage("read sketches", clients.length);
    const sketches: ClientSketch[] = [];
    for (const sketch of evidence.sketches) {
      sketches.push(await sketchOf(state, job.run, sketch, evidence.dim));
      stage.tick();
    }
    stage.done();
    const { seed, balance, lambda, constraints, projections = 1 } = evidence;
    const real = evidence.real && { own: new Map(evidence.real.own), common: new Map(evidence.real.common) };
    const runtime = await openRuntime(job.runtime);
    try {
      const solver = await openEstimator(sketches, { balance, lambda, projections }, { seed, runtime, signal, real });
      try {
        const rules = new PartitionConstraints(clients, constraints);
        const run = { clients, affinity, errors: evidence.errors, partition, reason, constraints: rules };
        return await explainClient(new SurrogateEvaluator(solver), run, job);
      } finally {
        await solver.close();
      }
    } finally {
      await runtime.close();
    }
  } finally {
    await state.close();
  }
}

async function sketchOf(
  { blobs }: StateReader,
  run: string,
  { client, trainExamples, rows }: NonNullable<StoredEstimate["evidence"]>["sketches"][number],
  dim: number,
): Promise<ClientSketch> {
  let bytes: Uint8Array;
  try {
    bytes = await blobs.get(rows);
  } catch (error) {
    if (!(error instanceof KindredError)) throw error;
    throw new KindredError(
      "not_found",
      `${run}: the sketches of ${brief(client)} are gone (${error.message}); nothing can be judged without them`,
      { client },
      error,
    );
  }
  return { client, trainExamples, ...decodeSketches(bytes, dim, client) };
}
