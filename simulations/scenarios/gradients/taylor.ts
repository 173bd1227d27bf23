/**
 * Studies of the first-order approximation: the error of a margin's expansion at the fresh adapter, along the straight lines to really
 * tuned adapters, at steps of given lengths and at the tuned adapter itself. It knows nothing of the estimate.
 */
import { join } from "node:path";
import { storedName } from "../../../client/models/architecture.js";
import type { AdapterValues } from "../../../client/tuning/adapter.js";
import { Meter } from "../../../client/tuning/compiled-graphs.js";
import type { LoraLayout } from "../../../client/tuning/lora.js";
import type { JobContext } from "../../../shared/base/command.js";
import { readModelTensor } from "../../../shared/models/files.js";
import { Measurements } from "../harness/measurements.js";
import { planOf, type StudySetup } from "../harness/setup.js";
import { mean } from "../harness/statistics.js";
import { bySeed, type Study, type StudyJob } from "../harness/study.js";
import { Testbed, type Tuning } from "../harness/testbed.js";
import { type AdapterPath, alongWay, distance, dot, expandAlong, weightChange } from "./expansion.js";
import { KINDS, type Kind, type KindResult, LENGTHS, type Norms, type PathResult, SHARES } from "./taylor-errors.js";
import { findingsOf } from "./taylor-findings.js";

/** Step of the finite differences: the changes of h are some hundredths, far above float32's rounding and below the curvature of h. */
const PROBE = 0.00005;

export interface TaylorCase extends StudySetup {
  readonly about: string;
  readonly kinds: readonly Kind[];
  readonly tuning: Omit<Tuning, "seed">;
}

export function taylorStudy(given: TaylorCase): Study {
  return {
    about: given.about,
    run: async (job, context) => {
      const results = await bySeed(job, async (own) => {
        const kinds: KindResult[] = [];
        for (const kind of given.kinds) kinds.push(await oneKind(given, kind, own, context));
        return kinds;
      });
      const facts = [
        ["model", job.model ?? given.model()],
        ["passes", String(given.tuning.epochs)],
        ["learning rate", String(given.tuning.learningRate)],
      ] as const;
      return findingsOf(given.title, facts, results.flat());
    },
  };
}

async function oneKind(given: TaylorCase, kind: Kind, job: StudyJob, context: JobContext): Promise<KindResult> {
  const { seed, force } = job;
  const out = join(job.out, kind.toLowerCase().replaceAll(/\W+/g, "-"));
  const options = { ...given.options, ...KINDS[kind].options };
  const plan = await planOf({ ...given, options }, job);
  const testbed = await Testbed.open(plan, context);
  const stage = context.progress.stage(`expand ${kind}`, testbed.names.length + 1);
  try {
    const tuning = { ...given.tuning, seed };
    const sketch = { dim: plan.estimation.dim, seed };
    const kept = await Measurements.open(out, { ...testbed.setting, tuning, sketch, PROBE, LENGTHS, SHARES }, force);
    const norms = await kept.of("norms", () => normsOf(testbed));
    const everyone = testbed.names.map((_, i) => i);
    const ways: PathResult[] = [];
    for (const group of [...everyone.map((i) => [i]), everyone]) {
      const names = group.map((i) => testbed.names[i]!);
      ways.push(
        await kept.of({ group: names }, async () => ({
          group: names,
          ...(await oneWay(testbed, { group, norms, tuning, sketch }, context)),
        })),
      );
      stage.tick();
    }
    return { kind, seed, norms, ways };
  } finally {
    stage.done();
    await testbed.close();
  }
}

async function normsOf({ base, layout }: Testbed): Promise<Norms> {
  const adapted = layout.spec.kind === "lora" ? (layout as LoraLayout).linears.map(({ name }) => `${name}.weight`) : [];
  const squares = { all: 0, adapted: 0 };
  for (const name of base.architecture.weights.keys()) {
    const values = await readModelTensor(base.folder, storedName(base.folder, base.architecture, name));
    const square = dot(values, values);
    squares.all += square;
    if (adapted.includes(name)) squares.adapted += square;
  }
  return { all: Math.sqrt(squares.all), adapted: adapted.length > 0 ? Math.sqrt(squares.adapted) : null };
}

interface Tuned {
  readonly group: readonly number[];
  readonly norms: Norms;
  readonly tuning: Tuning;
  readonly sketch: AdapterPath["sketch"];
}

async function oneWay(
  testbed: Testbed,
  { group, norms, tuning, sketch }: Tuned,
  { signal }: JobContext,
): Promise<Omit<PathResult, "group">> {
  const { layout, compiledGraphs, start } = testbed;
  const { all } = norms;
  const lossOf = async (values: AdapterValues) =>
    mean((await testbed.score(values, group, "validation")).map(({ loss }) => loss));
  const { values: tuned } = await testbed.tune(group, tuning);
  const length = distance(start, tuned) / all;
  const shares = [...LENGTHS.map((step) => step / length), ...SHARES];
  const rows = testbed.rows(group, "validation");
  const places = group.flatMap((i) =>
    testbed.datasets[i]!.validation.map((_, row) => ({ client: testbed.names[i]!, row })),
  );
  const way = { start, tuned, shares, probe: PROBE / length, sketch };
  const expansions = await expandAlong({ compiledGraphs, layout, meter: new Meter(signal) }, way, rows);
  return {
    loss: { before: await lossOf(start), after: await lossOf(tuned) },
    shares,
    lengths: shares.map((share) => share * length),
    weightChanges:
      layout.spec.kind === "lora"
        ? shares.map((share) => weightChange(layout as LoraLayout, alongWay(way, share)) / all)
        : null,
    expansions: expansions.map((one) => ({ ...one, ...places[one.row]! })),
  };
}
