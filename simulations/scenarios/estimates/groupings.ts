/**
 * Studies of groupings: partitions of real datasets, by Kindred and by other methods. Each group is really tuned on all its rows in one
 * place with the same passes and scored on test rows; the results are compared with the estimator's. It knows nothing of the search for
 * groups.
 */
import { join } from "node:path";
import { calibrated, type RealLosses } from "../../../coordinator/estimation/calibration.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import type { SurrogateSolver } from "../../../coordinator/estimation/surrogate.js";
import { PartitionConstraints } from "../../../coordinator/grouping/constraints.js";
import { estimateAffinities, halfAffinity, openEstimator } from "../../../coordinator/stages/affinities.js";
import type { GroupingMethod } from "../../../coordinator/stages/grouping-methods.js";
import { findGroups } from "../../../coordinator/stages/groups.js";
import type { JobContext } from "../../../shared/base/command.js";
import { fixed, flops as flopsText, loss as lossText, percent } from "../../../shared/base/format.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { scatter } from "../../report/figures/plots.js";
import { Measurements } from "../harness/measurements.js";
import { planOf, type StudySetup } from "../harness/setup.js";
import { sketchesOf } from "../harness/sketches.js";
import { explained, mean, spearman, standardError } from "../harness/statistics.js";
import { bySeed, type Finding, type Findings, type Study, type StudyJob } from "../harness/study.js";
import { Testbed, type TestbedScore, type Tuning } from "../harness/testbed.js";

export interface GroupingsCase extends StudySetup {
  readonly about: string;
  readonly tuning: Omit<Tuning, "seed">;
  /** Other grouping methods for comparison: each adds a tuning of all rows. @default all */
  readonly others?: readonly Other[];
  /** Differences with a model of the user, which may be large. */
  readonly own?: Partial<Pick<GroupingsCase, "options" | "tuning" | "others">>;
}

/**
 * Partitions compared: one group; one group per dataset; Kindred's; Kindred's by an estimate calibrated by the first two; and by each
 * other method, with Kindred's number of groups, or with its own number where Kindred's is one group or one per dataset.
 */
const OTHERS = ["spectral", "agglomerative", "cosine", "random"] as const satisfies readonly GroupingMethod[];
type Other = (typeof OTHERS)[number];
type GroupedBy = "shared" | "local" | "kindred" | "calibrated" | Other;
const GROUPED_BY: readonly GroupedBy[] = ["shared", "local", "kindred", "calibrated", ...OTHERS];

interface Partitioned {
  readonly way: GroupedBy;
  readonly groups: readonly (readonly number[])[];
}

/** The result of one dataset in one partition. */
interface Outcome extends TestbedScore {
  readonly way: GroupedBy;
  readonly client: string;
  /** Estimated loss, nats per example. */
  readonly estimate: number;
  /** By the calibrated estimate; null where there is none. */
  readonly calibrated: number | null;
}

interface SeedResult {
  readonly seed: number;
  readonly names: readonly string[];
  readonly partitions: readonly Partitioned[];
  readonly outcomes: readonly Outcome[];
  readonly flops: { readonly sketching: number; readonly tuning: number };
}

export function groupingsStudy(given: GroupingsCase): Study {
  return {
    about: given.about,
    run: async (job, context) => {
      const chosen = { ...given, ...(job.model === undefined ? {} : given.own) };
      const results = await bySeed(job, (own) => oneSeed(chosen, own, context));
      return findingsOf(chosen, job.model ?? given.model(), results);
    },
  };
}

async function oneSeed(given: GroupingsCase, job: StudyJob, context: JobContext): Promise<SeedResult> {
  const { seed, out, force } = job;
  const { others = OTHERS } = given;
  const plan = await planOf(given, job);
  const testbed = await Testbed.open(plan, context);
  try {
    const tuning = { ...given.tuning, seed };
    const kept = await Measurements.open(out, { ...testbed.setting, tuning }, force);
    const tuned = async (group: readonly number[]) => {
      const { names } = testbed;
      return await kept.of({ tuned: group.map((i) => names[i]!) }, async () => {
        const { values, flops } = await testbed.tune(group, tuning);
        const scores = await testbed.score(values, group, "test");
        return { flops, scores, held: await testbed.score(values, group, "validation") };
      });
    };
    // First the tunings that need no estimate: they take the longest and serve every method.
    const everyone = testbed.names.map((_, i) => i);
    const alone = everyone.map((i) => [i]);
    const stage = context.progress.stage("tune groups", alone.length + 1);
    const heldOut: TestbedScore[][] = [];
    for (const group of [...alone, everyone]) {
      heldOut.push((await tuned(group)).held);
      stage.tick();
    }
    stage.done();
    const named = (scores: readonly TestbedScore[]) => new Map(scores.map(({ loss }, i) => [testbed.names[i]!, loss]));
    const real = { own: named(heldOut.slice(0, -1).flat()), common: named(heldOut.at(-1)!) };
    const { partitions, estimates, sketching } = await kept.of(
      { partitions: { estimation: plan.estimation, grouping: plan.grouping, groups: plan.groups, others } },
      () => partitionsOf(plan, { sketches: { folder: join(out, "sketches"), force }, testbed, real, others }, context),
    );
    const groups = partitions.flatMap((one) => one.groups);
    const rest = context.progress.stage("tune groups found", groups.length);
    const outcomes: Outcome[] = [];
    let tuningFlops = 0;
    for (const [p, { way, groups }] of partitions.entries()) {
      for (const [g, group] of groups.entries()) {
        const { flops, scores } = await tuned(group);
        rest.tick();
        tuningFlops += flops;
        group.forEach((i, at) => {
          const [estimate, calibrated = null] = estimates.map((values) => -values[p]![g]![at]!);
          outcomes.push({ way, client: testbed.names[i]!, estimate: estimate!, calibrated, ...scores[at]! });
        });
      }
    }
    rest.done();
    return { seed, names: testbed.names, partitions, outcomes, flops: { sketching, tuning: tuningFlops } };
  } finally {
    await testbed.close();
  }
}

/**
 * The partition of each method, and the estimates of all partitions: f of each member of each group, without calibration and, where
 * possible, with it.
 */
async function partitionsOf(
  plan: SimulationPlan,
  {
    sketches: kept,
    testbed,
    real,
    others,
  }: {
    readonly sketches: { readonly folder: string; readonly force: boolean };
    readonly testbed: Testbed;
    readonly real: RealLosses;
    readonly others: readonly Other[];
  },
  context: JobContext,
) {
  const { seed, estimation } = plan;
  const { signal } = context;
  const { sketches, flops: sketching } = await sketchesOf(plan, kept, context);
  const stage = context.progress.stage("find groups", others.length + 2);
  const everyone = testbed.names.map((_, i) => i);
  const partitions: Partitioned[] = [
    { way: "shared", groups: [everyone] },
    { way: "local", groups: everyone.map((i) => [i]) },
  ];
  const constraints = new PartitionConstraints(testbed.names, plan.grouping);
  const found = async (solver: SurrogateSolver, first: GroupedBy, besides: readonly Other[]) => {
    const sampled = await estimateAffinities(solver, estimation, seed);
    const halves = (half: 0 | 1) => halfAffinity(sampled, half);
    const evidence = { evaluator: new SurrogateEvaluator(solver), problem: solver.problem, halves };
    const find = (method: GroupingMethod, groups: "auto" | number) =>
      findGroups(sampled.affinity.matrix, evidence, { constraints, seed, signal, groups, method });
    const { partition } = await find("kindred", plan.groups);
    partitions.push({ way: first, groups: partition });
    stage.tick();
    const split = partition.length > 1 && partition.length < everyone.length;
    for (const way of besides) {
      partitions.push({ way, groups: (await find(way, split ? partition.length : "auto")).partition });
      stage.tick();
    }
  };
  const plain = await openEstimator(sketches, estimation, { seed, runtime: testbed.runtime, signal });
  try {
    await found(plain, "kindred", others);
    const solvers = [plain];
    // Margins over the whole vocabulary predict almost no loss: there is no level to calibrate.
    if (plain.problem.twoTerm) {
      const adjusted = await calibrated(plain, real);
      await found(adjusted, "calibrated", []);
      solvers.push(adjusted);
    }
    const estimates: number[][][][] = [];
    for (const solver of solvers) {
      const values: number[][][] = [];
      for (const { groups } of partitions)
        values.push(memberValues(await fitHeldOut(solver, groups)).map((members) => Array.from(members)));
      estimates.push(values);
    }
    return { partitions, estimates, sketching };
  } finally {
    stage.done();
    await plain.close();
  }
}

/** Mean over the datasets of one way in one seed. */
function meanOf(outcomes: readonly Outcome[], way: GroupedBy, of: (outcome: Outcome) => number | null): number {
  const values = outcomes.filter((outcome) => outcome.way === way).map(of);
  return mean(values.filter((value) => value !== null));
}

const accuracyOf = ({ accuracy }: Outcome): number | null => accuracy;
const lossOf = ({ loss }: Outcome): number => loss;

interface NamedEstimate {
  readonly name: string;
  readonly of: (outcome: Outcome) => number;
}

/** The estimates that there are of every outcome. */
function estimatesOf(results: readonly SeedResult[]): NamedEstimate[] {
  const both = results.every(({ outcomes }) => outcomes.every(({ calibrated }) => calibrated !== null));
  return [
    { name: "estimated loss", of: ({ estimate }) => estimate },
    ...(both ? [{ name: "calibrated estimated loss", of: ({ calibrated }: Outcome) => calibrated! }] : []),
  ];
}

/** The methods compared in every seed. */
const waysOf = (results: readonly SeedResult[]): GroupedBy[] =>
  GROUPED_BY.filter((way) => results.every(({ partitions }) => partitions.some((one) => one.way === way)));

function findingsOf(given: GroupingsCase, model: string, results: readonly SeedResult[]): Findings {
  const choices = results.some(({ outcomes }) => outcomes.some(({ accuracy }) => accuracy !== null));
  return {
    title: given.title,
    facts: [
      ["model", model],
      ["datasets", String(results[0]!.names.length)],
      ["seeds", results.map(({ seed }) => seed).join(", ")],
      ["passes", String(given.tuning.epochs)],
      ["learning rate", String(given.tuning.learningRate)],
    ],
    findings: [
      waysFinding(results, choices),
      ...estimatesOf(results).map((one) => rankFinding(results, one)),
      ...results.map((one) => seedFinding(one, choices)),
    ],
    data: results,
  };
}

function waysFinding(results: readonly SeedResult[], choices: boolean): Finding {
  const over = (of: (result: SeedResult) => number) => results.map(of);
  const spread = (values: readonly number[], text: (value: number) => string): string =>
    values.length > 1 ? `${text(mean(values))} ± ${text(standardError(values))}` : text(values[0]!);
  const ways = waysOf(results);
  const estimates = estimatesOf(results);
  const rows = ways.map((way) => {
    const losses = over(({ outcomes }) => meanOf(outcomes, way, lossOf));
    const accuracies = over(({ outcomes }) => meanOf(outcomes, way, accuracyOf));
    const groups = over(({ partitions }) => partitions.find((one) => one.way === way)!.groups.length);
    return [
      way,
      groups.join(", "),
      spread(losses, lossText),
      ...(choices ? [spread(accuracies, (value) => percent(value))] : []),
      ...estimates.map(({ of }) =>
        spread(
          over(({ outcomes }) => meanOf(outcomes, way, of)),
          lossText,
        ),
      ),
    ];
  });
  const value = (way: GroupedBy) => mean(over(({ outcomes }) => meanOf(outcomes, way, lossOf)));
  const best = ways.reduce((a, b) => (value(b) < value(a) ? b : a));
  return {
    title: "Real tuning of the groups",
    text: `Mean test loss over the datasets, ${choices ? "nats per row" : "nats per token"}, is lowest for ${best}: ${lossText(value(best))}; kindred ${lossText(value("kindred"))}, shared ${lossText(value("shared"))}, local ${lossText(value("local"))}.`,
    table: {
      head: [
        "groups by",
        "number",
        "test loss",
        ...(choices ? ["accuracy %"] : []),
        ...estimates.map(({ name }) => name),
      ],
      rows,
    },
  };
}

/** The rank correlation of an estimate with real losses, and of estimated with real gains over each dataset's own adapter. */
function rankFinding(results: readonly SeedResult[], { name, of }: NamedEstimate): Finding {
  const pairs = results.flatMap(({ seed, outcomes }) => {
    const alone = new Map(outcomes.filter(({ way }) => way === "local").map((one) => [one.client, one]));
    return outcomes.map((one) => ({
      who: `${one.client}, ${one.way}, seed ${seed}`,
      way: one.way,
      loss: one.loss,
      estimate: of(one),
      gain: alone.get(one.client)!.loss - one.loss,
      predicted: of(alone.get(one.client)!) - of(one),
    }));
  });
  const together = pairs.filter(({ way }) => way !== "local");
  const [loss, estimate] = [pairs.map((one) => one.loss), pairs.map((one) => one.estimate)];
  const [gain, predicted] = [together.map((one) => one.gain), together.map((one) => one.predicted)];
  return {
    title: `The ${name} against real losses`,
    text: `Spearman's correlation of ${name} with real test loss over datasets and partitions is ${fixed(spearman(loss, estimate), 2)} (R² ${fixed(explained(loss, estimate), 2)}), that of the gain over the dataset's own adapter ${fixed(spearman(gain, predicted), 2)}.`,
    figures: [
      {
        figure: scatter(
          pairs.map(({ who, estimate: x, loss: y }) => ({
            x,
            y,
            tip: `${who}\nestimated ${lossText(x)}, real ${lossText(y)}`,
          })),
          { x: name, y: "real test loss", label: `Real loss against ${name}`, percent: false },
        ),
        caption: "A point per dataset and partition; on the line the estimate is exact.",
      },
      {
        figure: scatter(
          together.map(({ who, predicted: x, gain: y }) => ({
            x,
            y,
            tip: `${who}\nestimated gain ${lossText(x)}, real ${lossText(y)}`,
          })),
          {
            x: `gain by ${name}`,
            y: "real gain over its own adapter",
            label: `Real gain against that by ${name}`,
            percent: false,
          },
        ),
        caption: "Loss of a dataset's own adapter minus that of its group's.",
      },
    ],
  };
}

function seedFinding(result: SeedResult, choices: boolean): Finding {
  const { seed, names, partitions, outcomes, flops } = result;
  const ways = waysOf([result]);
  const kindred = partitions.find(({ way }) => way === "kindred")!;
  const of = (client: string, way: GroupedBy) => outcomes.find((one) => one.client === client && one.way === way)!;
  const cell = (client: string, way: GroupedBy): string => {
    const { loss, accuracy } = of(client, way);
    return choices ? `${fixed(loss, 3)} / ${accuracy === null ? "" : percent(accuracy)}` : fixed(loss, 3);
  };
  // Hundreds of names are left to study.json.
  const many = names.length > 40;
  const groups = many
    ? kindred.groups.map(({ length }) => length).join(", ")
    : kindred.groups.map((group) => `{${group.map((i) => names[i]).join(", ")}}`).join(", ");
  const rows = many ? [] : names.map((client) => [client, ...ways.map((way) => cell(client, way))]);
  return {
    title: `Seed ${seed}`,
    text: `Kindred's ${many ? "groups have these numbers of datasets" : "groups"}: ${groups}. Sketching took ${flopsText(flops.sketching)}, all tunings ${flopsText(flops.tuning)}.${many ? "" : ` Test loss${choices ? " / accuracy %" : ""}:`}`,
    ...(rows.length > 0 ? { table: { head: ["dataset", ...ways], rows } } : {}),
  };
}
