/**
 * The job of `kindred group`: the third stage alone, from a file of affinities to a file of groups. Any program may have written the
 * affinities. With the sketches the estimator judges the partitions, as in a run; without them the affinities alone decide.
 */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { affinityMatrix } from "../../coordinator/estimation/affinity.js";
import type { Half } from "../../coordinator/estimation/evaluate.js";
import type { Forecast } from "../../coordinator/estimation/forecast.js";
import type { Grouping } from "../../coordinator/grouping/choice.js";
import { PartitionConstraints } from "../../coordinator/grouping/constraints.js";
import type { EstimationSettings } from "../../coordinator/stages/affinities.js";
import type { GroupingMethod } from "../../coordinator/stages/grouping-methods.js";
import {
  candidateNotes,
  findGroups,
  type GroupingCandidateNote,
  groupsBySketches,
} from "../../coordinator/stages/groups.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import type { GroupConstraints } from "../../shared/base/group-constraints.js";
import { brief, isObject, readJsonObject } from "../../shared/base/json.js";
import { BALANCES, type Balance } from "../../shared/config/enumerations.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { readSketches, readSketchIndex } from "../../shared/sketch/folder.js";
import { seedOf } from "./estimate.js";
import { FILES, type NamedMatrix, readMatrix, readSubsets } from "./stage-files.js";

export interface GroupJob {
  /** File of an affinity matrix (CSV), or a folder that `kindred estimate` wrote. */
  readonly affinity: string;
  /** Folder of the sketches, by which the estimator judges. */
  readonly sketches?: string;
  /** File to write. */
  readonly out: string;
  /** Replace what is there. */
  readonly force: boolean;
  readonly groups: "auto" | number;
  readonly method: GroupingMethod;
  /** As `GroupSearch` has it. */
  readonly number?: "eigengap" | "path";
  readonly constraints: GroupConstraints;
  /** @default that of the estimate or the sketches, else 0 */
  readonly seed?: number | undefined;
  readonly runtime: RuntimeChoice;
}

/** What `groups.json` holds. */
export interface GroupsFile {
  readonly format: "kindred-groups";
  readonly version: 1;
  readonly clients: readonly string[];
  /** A partition of the clients. */
  readonly groups: readonly (readonly string[])[];
  readonly reason: string;
  /** Whether the estimator judged; else values are densities of the standardised affinities. */
  readonly judged: boolean;
  readonly candidates: readonly GroupingCandidateNote[];
  /** How clients would fare in the groups, by estimate; where there are sketches. */
  readonly forecast?: Forecast;
  readonly settings: {
    readonly method: GroupingMethod;
    readonly groups: "auto" | number;
    readonly seed: number;
  } & GroupConstraints;
}

/**
 * @throws {KindredError} `already_exists` where `out` is there, without `force`; `invalid_data` for files that do not hold together;
 *   `invalid_option` for constraints that contradict each other or name nobody
 */
export async function groupFiles(job: GroupJob, context: JobContext): Promise<GroupsFile> {
  const { out, groups, method, constraints } = job;
  if (existsSync(out) && !job.force)
    throw new KindredError(
      "already_exists",
      `${out}: is there already; choose another --out, or add --force to replace it`,
      { out },
    );
  const folder = (await stat(job.affinity).catch(() => undefined))?.isDirectory() ? job.affinity : undefined;
  const named = await readMatrix(folder === undefined ? job.affinity : join(folder, FILES.affinity));
  const { clients } = named;
  const rules = constrained(clients, job);
  const { seed, grouping, forecast } =
    job.sketches === undefined
      ? await byAffinity(named, job, rules, context)
      : await bySketches({ ...named, folder, sketches: job.sketches }, job, rules, context);
  const file: GroupsFile = {
    format: "kindred-groups",
    version: 1,
    clients,
    groups: grouping.partition.map((group) => group.map((i) => clients[i]!)),
    reason: grouping.why,
    judged: grouping.candidates.some(({ gainOverOne }) => gainOverOne !== null),
    candidates: candidateNotes(grouping),
    ...(forecast === undefined ? {} : { forecast }),
    settings: { method, groups, seed, ...constraints },
  };
  await writeAtomically(out, `${JSON.stringify(file, null, 1)}\n`);
  context.log.info("groups written", { out, groups: file.groups.length });
  return file;
}

interface Found {
  readonly seed: number;
  readonly grouping: Grouping;
  readonly forecast?: Forecast;
}

/** Refuses unknown clients and impossible numbers of groups before anything is solved. */
function constrained(clients: readonly string[], { groups, constraints }: GroupJob): PartitionConstraints {
  for (const name of [...constraints.together, ...constraints.apart].flat())
    if (!clients.includes(name))
      throw new KindredError(
        "invalid_option",
        `client ${brief(name)} is to be together or apart, and is not in the matrix`,
        { client: name },
      );
  const rules = new PartitionConstraints(clients, constraints);
  const { fewest, most } = rules.counts;
  if (groups !== "auto" && (groups < fewest || groups > most))
    throw new KindredError(
      "invalid_option",
      `--groups is ${groups}; ${clients.length} clients with these constraints can be in ${fewest} to ${most} groups`,
      { groups, fewest, most },
    );
  return rules;
}

async function byAffinity(
  { matrix }: NamedMatrix,
  { seed = 0, groups, method, number }: GroupJob,
  constraints: PartitionConstraints,
  { signal }: JobContext,
): Promise<Found> {
  return { seed, grouping: await findGroups(matrix, undefined, { groups, method, number, constraints, seed, signal }) };
}

/** @param input `folder`: of the estimate, where the matrix is that of an estimate */
async function bySketches(
  {
    clients,
    matrix,
    folder,
    sketches: path,
  }: NamedMatrix & { readonly folder: string | undefined; readonly sketches: string },
  { groups, method, number, ...job }: GroupJob,
  constraints: PartitionConstraints,
  { progress, signal }: JobContext,
): Promise<Found> {
  const index = await readSketchIndex(path);
  const entries = new Map(index.clients.map((entry) => [entry.name, entry]));
  const known = clients.map((name) => {
    const entry = entries.get(name);
    if (entry === undefined)
      throw new KindredError(
        "invalid_data",
        `${path}: has no sketches of client ${brief(name)}, which is in the matrix`,
        { client: name },
      );
    return entry;
  });
  // The estimate's own settings: another seed draws other folds, and another balance gives clients other weights.
  const before = folder === undefined ? undefined : await estimateSettings(join(folder, FILES.estimate));
  const seed = job.seed ?? before?.seed ?? seedOf(index);
  const halves = folder === undefined ? () => matrix : await halvesOf(join(folder, FILES.subsets), clients);
  const sketches = await readSketches(path, { ...index, clients: known });
  const runtime = await openRuntime(job.runtime);
  const stage = progress.stage("search groups", 0);
  try {
    const { balance = "none", lambda = "auto" } = before ?? {};
    const settings = { balance, lambda, projections: index.projections };
    const found = await groupsBySketches(
      { affinity: matrix, halves, sketches },
      settings,
      { groups, method, number, constraints, seed, signal },
      { runtime, onSolved: (solved) => stage.tick(solved) },
    );
    stage.done({ groups: found.grouping.partition.length });
    return { seed, ...found };
  } finally {
    await runtime.close();
  }
}

/** T as each half of the held-out examples has it, from the sampled subsets. */
async function halvesOf(path: string, clients: readonly string[]): Promise<(half: Half) => readonly Float64Array[]> {
  const subsets = await readSubsets(path, clients);
  const members = subsets.map((subset) => subset.members);
  const matrices = ([0, 1] as const).map((half) => {
    const values = subsets.map(({ halves }) => halves[half]);
    try {
      return affinityMatrix(clients.length, members, values).matrix;
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      const { i, j } = error.facts as { i: number; j: number };
      throw new KindredError(
        "invalid_data",
        `${path}: no subset holds both ${brief(clients[i])} and ${brief(clients[j])}`,
        { path },
      );
    }
  });
  return (half) => matrices[half]!;
}

/** The settings of an estimate that the evaluator needs. */
async function estimateSettings(
  path: string,
): Promise<Pick<EstimationSettings, "balance" | "lambda"> & { readonly seed: number }> {
  const { settings } = await readJsonObject(path, { maxBytes: MAX_ESTIMATE_BYTES, code: "invalid_data" });
  const fail = (field: string, wants: string, got: unknown): never => {
    throw new KindredError("invalid_data", `${path}: settings.${field} must be ${wants}, got ${brief(got)}`, { field });
  };
  if (!isObject(settings)) throw new KindredError("invalid_data", `${path}: has no settings`, { path });
  const { balance, lambda, seed } = settings;
  if (!BALANCES.includes(balance as Balance)) fail("balance", `one of ${BALANCES.join(", ")}`, balance);
  const positive = (value: unknown) => typeof value === "number" && Number.isFinite(value) && value > 0;
  const list = Array.isArray(lambda) && lambda.length > 0 && lambda.length <= 32 && lambda.every(positive);
  if (lambda !== "auto" && !positive(lambda) && !list)
    fail("lambda", "auto, or one or up to 32 numbers above 0", lambda);
  if (!Number.isSafeInteger(seed) || (seed as number) < 0) fail("seed", "a whole number of at least 0", seed);
  return { balance: balance as Balance, lambda: lambda as EstimationSettings["lambda"], seed: seed as number };
}

/** Names of 10,000 clients take 2 MB. */
const MAX_ESTIMATE_BYTES = 64 * 1024 * 1024;
