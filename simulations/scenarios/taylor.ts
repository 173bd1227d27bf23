/**
 * Studies of the first-order approximation: how far a margin is from its expansion at the fresh adapter, along the ways that real
 * tuning took, at steps of given lengths and at the tuned adapter itself. It knows nothing of what is estimated by it.
 */
import { join } from "node:path";
import { storedName } from "../../client/models/base.js";
import type { AdapterValues } from "../../client/tuning/adapter.js";
import type { LoraLayout } from "../../client/tuning/lora.js";
import { Meter } from "../../client/tuning/programs.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import type { JobContext } from "../../shared/base/command.js";
import { loss as lossText, percent, significant } from "../../shared/base/format.js";
import { simulationPlan } from "../../shared/config/config.js";
import { readModelTensor } from "../../shared/models/files.js";
import { type Series, seriesPlot } from "../report/series.js";
import { alongWay, distance, dot, type Expansion, expandAlong, type Way, weightChange } from "./expansion.js";
import { Lab, type Tuning } from "./lab.js";
import { MARGINS, type Margin } from "./linearisation.js";
import { Measurements } from "./measurements.js";
import { mean, type Ratio, ratioOfMeans } from "./statistics.js";
import type { Finding, Findings, Study, StudyJob } from "./study.js";

type Options = Omit<Parameters<typeof simulationPlan>[0], "model" | "population" | "seed" | "title">;

/** What is tuned on what base. `goal`: of the error relative to |h| at steps of `LENGTHS`. */
const KINDS = {
  LoRA: { options: {}, goal: 0.01 },
  Houlsby: { options: { adapter: { kind: "houlsby" } }, goal: 0.01 },
  QLoRA: { options: { base: { quantization: "nf4" } }, goal: 0.03 },
  QAdapter: { options: { adapter: { kind: "houlsby" }, base: { quantization: "nf4" } }, goal: 0.03 },
  Pfeiffer: { options: { adapter: { kind: "pfeiffer" } }, goal: 0.01 },
  "LoRA, A too": { options: { adapter: { freezeA: false } }, goal: 0.01 },
} as const satisfies Readonly<Record<string, { readonly options: Options; readonly goal: number }>>;
type Kind = keyof typeof KINDS;
export const ADAPTER_KINDS = Object.keys(KINDS) as readonly Kind[];

/** Goal of the error relative to the change of h. */
const CHANGE_GOAL = 0.2;
/** Steps, relative to the norm of all weights of the base model. */
const LENGTHS = [0.0005, 0.001, 0.0015, 0.002] as const;
/** Of the finite differences: changes of h there are some hundredths, far above what float32 rounds off and below where h bends. */
const PROBE = 0.00005;
/** Further steps, shares of the way to the tuned adapter. */
const SHARES = [0.25, 0.5, 1] as const;
const STEPS = LENGTHS.length + SHARES.length;
const TUNED = STEPS - 1;

export interface TaylorCase {
  readonly about: string;
  readonly title: string;
  readonly kinds: readonly Kind[];
  /** @param own for a model that the user names, which may be large */
  readonly population: (seed: number, own: boolean) => Promise<string>;
  /** Unless the user names one. */
  readonly model: () => string;
  readonly options: Options;
  readonly tuning: Omit<Tuning, "seed">;
}

/** One tuning, on one dataset or on all of them. */
interface WayResult {
  readonly group: readonly string[];
  /** Mean validation loss over the datasets. */
  readonly loss: { readonly before: number; readonly after: number };
  /** [STEPS] shares of the way. */
  readonly shares: readonly number[];
  /** [STEPS] the parameters' distance from the start, relative to the norm of all base weights. */
  readonly lengths: readonly number[];
  /** [STEPS] the norm of the change of the weights, relative to that of all base weights; null where the adapter is no change of weights. */
  readonly weightChanges: readonly number[] | null;
  /** `row`: the place among the validation rows of the dataset. */
  readonly expansions: readonly (Expansion & { readonly client: string })[];
}

interface KindResult {
  readonly kind: Kind;
  readonly seed: number;
  readonly norms: Norms;
  readonly ways: readonly WayResult[];
}

interface Norms {
  /** Of all weights of the base model, as its files have them. */
  readonly all: number;
  /** Of the linears that a LoRA changes; null for other adapters. */
  readonly adapted: number | null;
}

export function taylorStudy(given: TaylorCase): Study {
  return {
    about: given.about,
    run: async (job, context) => {
      const results: KindResult[] = [];
      for (let seed = job.seed; seed < job.seed + job.seeds; seed++) {
        for (const kind of given.kinds) results.push(await oneKind(given, kind, { ...job, seed }, context));
      }
      return findingsOf(given, job.model, results);
    },
  };
}

async function oneKind(given: TaylorCase, kind: Kind, job: StudyJob, context: JobContext): Promise<KindResult> {
  const { seed, force, model = given.model() } = job;
  const out = join(job.out, `seed-${seed}`, kind.toLowerCase().replaceAll(/\W+/g, "-"));
  const population = join(job.out, `seed-${seed}`, "population.jsonl");
  const own = job.model !== undefined;
  await writeAtomically(population, await given.population(seed, own));
  const plan = simulationPlan({ ...given.options, ...KINDS[kind].options, title: kind, model, population, seed });
  const lab = await Lab.open(plan, context);
  const stage = context.progress.stage(`expand ${kind}`, lab.names.length + 1);
  try {
    const tuning = { ...given.tuning, seed };
    const sketch = { dim: plan.estimation.dim, seed };
    const kept = await Measurements.open(out, { ...lab.setting, tuning, sketch, PROBE }, force);
    const norms = await kept.of("norms", () => normsOf(lab));
    const everyone = lab.names.map((_, i) => i);
    const ways: WayResult[] = [];
    for (const group of [...everyone.map((i) => [i]), everyone]) {
      const names = group.map((i) => lab.names[i]!);
      ways.push(
        await kept.of({ group: names }, async () => ({
          group: names,
          ...(await oneWay(lab, { group, norms, tuning, sketch }, context)),
        })),
      );
      stage.tick();
    }
    return { kind, seed, norms, ways };
  } finally {
    stage.done();
    await lab.close();
  }
}

async function normsOf({ base, layout }: Lab): Promise<Norms> {
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
  readonly sketch: Way["sketch"];
}

async function oneWay(
  lab: Lab,
  { group, norms, tuning, sketch }: Tuned,
  { signal }: JobContext,
): Promise<Omit<WayResult, "group">> {
  const { layout, programs, start } = lab;
  const { all } = norms;
  const lossOf = async (values: AdapterValues) =>
    mean((await lab.score(values, group, "validation")).map(({ loss }) => loss));
  const { values: tuned } = await lab.tune(group, tuning);
  const length = distance(start, tuned) / all;
  const shares = [...LENGTHS.map((step) => step / length), ...SHARES];
  const rows = lab.rows(group, "validation");
  const places = group.flatMap((i) => lab.datasets[i]!.validation.map((_, row) => ({ client: lab.names[i]!, row })));
  const way = { start, tuned, shares, probe: PROBE / length, sketch };
  const expansions = await expandAlong(programs, layout, way, rows, new Meter(signal));
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

/** What the margin is compared with. */
const ESTIMATES = {
  linear: ({ start, slope }: Expansion, _: number, share: number) => start + share * slope,
  sketched: ({ start, sketchedSlope }: Expansion, _: number, share: number) => start + share * sketchedSlope,
  logits: ({ ofLinearLogits }: Expansion, step: number) => ofLinearLogits[step]!,
} as const;
type Estimate = keyof typeof ESTIMATES;

interface Errors {
  /** mean |h| and mean |h - h*| */
  readonly margin: number;
  readonly change: number;
  /** mean |h_hat - h| / mean |h| */
  readonly ofMargin: Ratio;
  /** mean (h_hat - h)^2 / mean h^2 */
  readonly squared: Ratio;
  /** mean |h_hat - h| / mean |h - h*| */
  readonly ofChange: Ratio;
}

/** Over the examples of all ways; one that is in several ways counts as one example. */
function errorsOf(results: readonly KindResult[], margin: Margin, step: number, estimate: Estimate): Errors {
  const examples = new Map<string, number[]>();
  let count = 0;
  for (const { seed, ways } of results) {
    for (const { shares, expansions } of ways) {
      for (const one of expansions.filter((expansion) => expansion.margin === margin)) {
        const key = `${seed} ${one.client} ${one.row}`;
        const h = one.values[step]!;
        const error = Math.abs(ESTIMATES[estimate](one, step, shares[step]!) - h);
        const before = examples.get(key);
        const parts = [error, Math.abs(h), Math.abs(h - one.start), error ** 2, h ** 2];
        examples.set(
          key,
          parts.map((part, k) => part + (before?.[k] ?? 0)),
        );
        count++;
      }
    }
  }
  const sums = [...examples.values()];
  const [error, value, change, error2, value2] = [0, 1, 2, 3, 4].map((k) => sums.map((parts) => parts[k]!)) as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  return {
    margin: (mean(value) * sums.length) / count,
    change: (mean(change) * sums.length) / count,
    ofMargin: ratioOfMeans(error, value),
    squared: ratioOfMeans(error2, value2),
    ofChange: ratioOfMeans(error, change),
  };
}

const MARGIN_NAMES: Readonly<Record<Margin, string>> = { answer: "whole vocabulary", choice: "choices" };

function findingsOf(given: TaylorCase, model: string | undefined, results: readonly KindResult[]): Findings {
  const kinds = given.kinds.map((kind) => ({ kind, results: results.filter((one) => one.kind === kind) }));
  const { ways } = results[0]!;
  const { tuning } = given;
  const margins = MARGINS.filter((margin) =>
    ways.some(({ expansions }) => expansions.some((one) => one.margin === margin)),
  );
  const cells = kinds.flatMap((one) =>
    margins.flatMap((margin) =>
      Array.from({ length: STEPS }, (_, step) => ({
        kind: one.kind,
        margin,
        step: step < LENGTHS.length ? LENGTHS[step]! : null,
        share: step < LENGTHS.length ? null : SHARES[step - LENGTHS.length]!,
        length: meanOver(one.results, ({ lengths }) => lengths[step]!),
        weightChange: meanOver(one.results, ({ weightChanges }) => weightChanges?.[step] ?? null),
        linear: errorsOf(one.results, margin, step, "linear"),
        sketched: errorsOf(one.results, margin, step, "sketched"),
        logits: errorsOf(one.results, margin, step, "logits"),
      })),
    ),
  );
  return {
    title: given.title,
    facts: [
      ["model", model ?? given.model()],
      ["datasets", ways.at(-1)!.group.join(", ")],
      ["seeds", [...new Set(results.map(({ seed }) => seed))].join(", ")],
      ["passes", String(tuning.epochs)],
      ["learning rate", String(tuning.learningRate)],
      ["norm of the base", significant(results[0]!.norms.all)],
    ],
    findings: [stepsFinding(cells, margins), tunedFinding(cells), causesFinding(cells), waysFinding(results)],
    data: {
      cells,
      ways: results.map(({ kind, seed, norms, ways }) => ({
        kind,
        seed,
        norms,
        ways: ways.map(({ expansions, ...way }) => ({ ...way, slopes: slopeError(expansions) })),
      })),
    },
  };
}

interface Cell {
  readonly kind: Kind;
  readonly margin: Margin;
  /** Relative length, of the steps that have one given; else null. */
  readonly step: number | null;
  /** Share of the way, of the others. */
  readonly share: number | null;
  readonly length: number;
  readonly weightChange: number;
  readonly linear: Errors;
  readonly sketched: Errors;
  readonly logits: Errors;
}

/** NaN where one of them has none. */
function meanOver(results: readonly KindResult[], of: (way: WayResult) => number | null): number {
  return mean(results.flatMap(({ ways }) => ways.map((way) => of(way) ?? Number.NaN)));
}

/** Largest difference between the gradient's and the finite difference's change, relative to the mean change. */
function slopeError(expansions: readonly Expansion[]): number {
  const apart = expansions.map(({ slope, differenceSlope }) => Math.abs(slope - differenceSlope));
  return Math.max(...apart) / mean(expansions.map(({ slope }) => Math.abs(slope)));
}

const share = (value: number): string => `${significant(100 * value, 2)}`;
const ratio = ({ value, standardError }: Ratio): string =>
  `${share(value)} ± ${Number.isFinite(standardError) ? significant(100 * standardError, 1) : "–"}`;

const HEAD = [
  "adapter",
  "margin",
  "step %",
  "weights' change %",
  "|h|",
  "change of h",
  "error of |h| %",
  "squared %",
  "of the change %",
  "sketched, of the change %",
];

const rowOf = ({ kind, margin, length, weightChange, linear, sketched }: Cell): string[] => [
  kind,
  MARGIN_NAMES[margin],
  significant(100 * length, 2),
  significant(100 * weightChange, 2),
  significant(linear.margin, 2),
  significant(linear.change, 2),
  ratio(linear.ofMargin),
  share(linear.squared.value),
  ratio(linear.ofChange),
  share(sketched.ofChange.value),
];

function worst(cells: readonly Cell[], of: (cell: Cell) => number): Cell {
  return cells.reduce((a, b) => (of(b) > of(a) ? b : a));
}

function stepsFinding(cells: readonly Cell[], margins: readonly Margin[]): Finding {
  const given = cells.filter(({ step }) => step !== null);
  const said = (quantised: boolean): string => {
    const own = given.filter(({ kind }) => "base" in KINDS[kind].options === quantised);
    if (own.length === 0) return "";
    const most = worst(own, ({ linear }) => linear.ofMargin.value);
    return `At most ${share(most.linear.ofMargin.value)} % of |h| ${quantised ? "on a quantised base" : "on a base as it is"} (${most.kind}, ${MARGIN_NAMES[most.margin]}, ${share(most.step!)} %; goal ${share(KINDS[most.kind].goal)}). `;
  };
  const change = worst(given, ({ linear }) => linear.ofChange.value);
  return {
    title: "Steps of 0.05 to 0.2 % of the base",
    text: `${said(false)}${said(true)}Relative to the change of h at most ${share(change.linear.ofChange.value)} % (${change.kind}, ${MARGIN_NAMES[change.margin]}; goal ${share(CHANGE_GOAL)}). |h| and the change of h are means in nats. A step is the distance of the adapter's parameters from the fresh ones along the way to the tuned ones, relative to the norm of all weights of the base; the weights' change is the norm of what a LoRA adds to them, s B A, relative to the same. ± is a standard error over examples.`,
    table: { head: HEAD, rows: given.map(rowOf) },
    figures: margins.flatMap((margin) => [
      figure(cells, margin, "of |h|", ({ linear }) => linear.ofMargin.value),
      figure(cells, margin, "of the change of h", ({ linear }) => linear.ofChange.value),
    ]),
  };
}

/** Lines of the kinds that the goals name. */
const DRAWN: readonly Kind[] = ["LoRA", "Houlsby", "QLoRA", "QAdapter"];

function figure(cells: readonly Cell[], margin: Margin, what: string, of: (cell: Cell) => number) {
  const series = DRAWN.flatMap((kind): Series[] => {
    const own = cells.filter((cell) => cell.kind === kind && cell.margin === margin && of(cell) > 0);
    const points = own.map((cell) => ({ x: 100 * cell.length, y: 100 * of(cell) })).sort((a, b) => a.x - b.x);
    return points.length === 0 ? [] : [{ name: kind, points }];
  });
  return {
    figure: seriesPlot(series, {
      x: "step, % of the base's norm",
      y: `mean error, % ${what}`,
      logX: true,
      logY: true,
      label: `Error of the expansion against the step, ${what}, margin over ${MARGIN_NAMES[margin]}`,
    }),
    caption: `Margin over ${MARGIN_NAMES[margin]}; the last point of a line is the tuned adapter.`,
  };
}

function tunedFinding(cells: readonly Cell[]): Finding {
  const given = cells.filter(({ share }) => share !== null);
  const tuned = given.filter(({ share }) => share === 1);
  const [least, most] = [tuned.map(({ length }) => length), tuned.map(({ linear }) => linear.ofChange.value)];
  return {
    title: "The tuned adapter, and a quarter and a half of the way",
    text: `Tuning goes ${share(Math.min(...least))} to ${share(Math.max(...least))} % of the base's norm. There the error is ${share(Math.min(...most))} to ${share(Math.max(...most))} % of the change of h.`,
    table: { head: HEAD, rows: given.map(rowOf) },
  };
}

/** How much of the error is the softmax's, and what the sketch adds. */
function causesFinding(cells: readonly Cell[]): Finding {
  const tuned = cells.filter(({ share }) => share === 1);
  const part = (cell: Cell): number => cell.logits.ofChange.value / cell.linear.ofChange.value;
  const said = MARGINS.flatMap((margin) => {
    const own = tuned.filter((cell) => cell.margin === margin).map(part);
    return own.length === 0
      ? []
      : [`${percent(mean(own), 0)} % of the error of the margin over ${MARGIN_NAMES[margin]}`];
  });
  return {
    title: "Where the error comes from",
    text: `A margin is a logit minus a logsumexp of others. Where the logits are expanded to first order instead of the margin, and the margin is taken of them, ${said.join(" and ")} is left at the tuned adapter: the network's own; the rest is the logsumexp's. The sketch's error is that of the inner product of two sketches, of gradient and way; the estimate is free of it, as its weights are fitted to sketches and are no sketch of a way.`,
    table: {
      head: [
        "adapter",
        "margin",
        "expanded margin, of the change %",
        "expanded logits, of the change %",
        "sketched, of the change %",
      ],
      rows: tuned.map((cell) => [
        cell.kind,
        MARGIN_NAMES[cell.margin],
        ratio(cell.linear.ofChange),
        ratio(cell.logits.ofChange),
        ratio(cell.sketched.ofChange),
      ]),
    },
  };
}

function waysFinding(results: readonly KindResult[]): Finding {
  return {
    title: "What was tuned",
    text: "Each dataset's own adapter and one of all of them. Loss is of validation rows, before and after, a mean over the datasets. The slope's check is the largest difference between the change of h that the gradient foretells and a central difference, relative to the mean change.",
    table: {
      head: [
        "adapter",
        "datasets",
        "seed",
        "loss before",
        "after",
        "length %",
        "weights' change %",
        "of adapted weights %",
        "slope's check %",
      ],
      rows: results.flatMap(({ kind, seed, norms, ways }) =>
        ways.map(({ group, loss, lengths, weightChanges, expansions }) => [
          kind,
          group.length > 1 ? `all ${group.length}` : group[0]!,
          String(seed),
          lossText(loss.before),
          lossText(loss.after),
          significant(100 * lengths[TUNED]!, 2),
          significant(weightChanges === null ? Number.NaN : 100 * weightChanges[TUNED]!, 2),
          significant(
            weightChanges === null ? Number.NaN : (100 * weightChanges[TUNED]! * norms.all) / norms.adapted!,
            2,
          ),
          share(slopeError(expansions)),
        ]),
      ),
    },
  };
}
