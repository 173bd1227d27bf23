/**
 * The numbers that renderers derive from a report: the order of the clients by group, the standardised affinity, gains between
 * methods, groups found against planted. It knows nothing of HTML and terminals, so that both show the same numbers.
 */
import { fixed, significant } from "../../shared/base/format.js";
import { at, type Difference, type Interval, METHODS, type MethodName, type Report, type TestScore } from "./types.js";

export type Metric = "accuracy" | "loss";

export const METHOD_NAMES: Readonly<Record<MethodName, string>> = {
  base: "Base",
  shared: "Shared",
  local: "Local",
  full: "Full",
  kindred: "Kindred",
};

export interface View {
  readonly report: Report;
  /** Methods compared, in the order shown. */
  readonly methods: readonly MethodName[];
  /** Accuracy where at least half of the clients have one, else loss. */
  readonly metric: Metric;
  /** Indexes into `clients`, group by group. */
  readonly order: readonly number[];
  /** Start of each group in `order`, then the number of clients: [groups + 1]. */
  readonly bounds: readonly number[];
  /** Group of each client, from 0, in the population's order. */
  readonly groupOf: readonly number[];
  /** Planted group of each client, or undefined where nothing was planted. */
  readonly plantedOf: readonly number[] | undefined;
  /** Row-major [clients, clients] in the population's order: see `standardise`. */
  readonly standard: Float64Array;
}

export function viewOf(report: Report): View {
  const index = new Map(report.clients.map((name, i) => [name, i]));
  const order: number[] = [];
  const bounds = [0];
  for (const group of report.groups) {
    for (const name of group) {
      const i = index.get(name);
      if (i !== undefined) order.push(i);
    }
    bounds.push(order.length);
  }
  const methods = METHODS.filter((method) => report.methods[method] !== undefined);
  const last = methods.at(-1);
  const withAccuracy = report.clients.filter(
    (name) => (last && at(report.methods[last]?.clients, name)?.accuracy) != null,
  ).length;
  return {
    report,
    methods,
    metric: withAccuracy > 0 && 2 * withAccuracy >= report.clients.length ? "accuracy" : "loss",
    order,
    bounds,
    groupOf: membership(report.clients, report.groups),
    plantedOf: report.planted && membership(report.clients, report.planted.groups),
    standard: standardise(report.affinity),
  };
}

/** Index of each client's group, or -1. */
function membership(clients: readonly string[], groups: readonly (readonly string[])[]): number[] {
  const of = new Map<string, number>();
  groups.forEach((group, g) => {
    for (const name of group) of.set(name, g);
  });
  return clients.map((name) => of.get(name) ?? -1);
}

/**
 * Each row minus its mean, divided by its standard deviation, both over the other clients: rows differ in level and scale (some
 * datasets are simply harder), which would hide the differences between partners. The diagonal is a mean over other subsets than the
 * rest of its row and is not part of mean and deviation. A row without variation gives zeros.
 */
export function standardise(affinity: readonly (readonly number[])[]): Float64Array {
  const n = affinity.length;
  const out = new Float64Array(n * n);
  affinity.forEach((row, i) => {
    const { mean, deviation } = moments(row, i);
    // Such a small deviation is rounding error of the mean.
    if (!(deviation > 1e-12 * Math.max(1, Math.abs(mean)))) return;
    row.forEach((x, j) => {
      out[i * n + j] = (x - mean) / deviation;
    });
  });
  return out;
}

/** Mean and standard deviation of row i over the other clients. */
function moments(row: readonly number[], i: number): { mean: number; deviation: number } {
  const others = row.filter((_, j) => j !== i);
  const count = Math.max(1, others.length);
  const mean = others.reduce((sum, x) => sum + x, 0) / count;
  return { mean, deviation: Math.sqrt(others.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count) };
}

/** One standard deviation in the affinity's unit: the median over rows. */
export function spreadOf(affinity: readonly (readonly number[])[]): number {
  return quantile(
    affinity.map((row, i) => moments(row, i).deviation),
    0.5,
  );
}

/** Mean standardised affinity of pairs of clients within groups and across groups; null without such pairs. */
export function contrast(view: View): { inside: number | null; across: number | null } {
  const n = view.report.clients.length;
  const sums = { inside: 0, across: 0 };
  const counts = { inside: 0, across: 0 };
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      if (i === j) continue;
      const side = view.groupOf[i] === view.groupOf[j] ? "inside" : "across";
      sums[side] += view.standard[i * n + j] ?? 0;
      counts[side]++;
    }
  return {
    inside: counts.inside ? sums.inside / counts.inside : null,
    across: counts.across ? sums.across / counts.across : null,
  };
}

export function scoreOf(report: Report, method: MethodName, client: string): TestScore | undefined {
  return at(report.methods[method]?.clients, client);
}

/** A score's value in a metric, or null. */
export function metricOf(score: TestScore | undefined, metric: Metric): number | null {
  const value = metric === "accuracy" ? score?.accuracy : score?.loss;
  return value ?? null;
}

/** Gain of `a` over `b`: positive is better in either metric. Null where one is missing. */
export function gain(a: TestScore | undefined, b: TestScore | undefined, metric: Metric): number | null {
  const x = metricOf(a, metric);
  const y = metricOf(b, metric);
  if (x === null || y === null) return null;
  return metric === "accuracy" ? x - y : y - x;
}

export interface MethodComparison {
  /** Difference of the means; positive is better. */
  readonly mean: number | null;
  readonly better: number;
  readonly equal: number;
  readonly worse: number;
  /** The client with the smallest gain. */
  readonly least: { readonly client: string; readonly gain: number } | undefined;
}

/** MethodName `a` against `b`; undefined where one of them was not run. */
export function compare(view: View, a: MethodName, b: MethodName): MethodComparison | undefined {
  const { report, metric } = view;
  if (!report.methods[a] || !report.methods[b]) return undefined;
  let better = 0;
  let equal = 0;
  let worse = 0;
  let least: { client: string; gain: number } | undefined;
  for (const client of report.clients) {
    const difference = gain(scoreOf(report, a, client), scoreOf(report, b, client), metric);
    if (difference === null) continue;
    if (difference > 0) better++;
    else if (difference < 0) worse++;
    else equal++;
    if (least === undefined || difference < least.gain) least = { client, gain: difference };
  }
  return { mean: gain(report.methods[a].mean, report.methods[b].mean, metric), better, equal, worse, least };
}

/** Mean score of one group's clients under a method. */
export function groupMean(view: View, method: MethodName, group: number): TestScore {
  const known = view.report.methods[method]?.groups?.[group];
  if (known !== undefined) return known;
  const scores = (view.report.groups[group] ?? []).map((name) => scoreOf(view.report, method, name));
  const mean = (values: readonly (number | null)[]): number | null => {
    const known = values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  return {
    loss: mean(scores.map((score) => score?.loss ?? null)) ?? Number.NaN,
    accuracy: mean(scores.map((score) => score?.accuracy ?? null)),
  };
}

/**
 * Mean of what was estimated for one group's clients before any group was trained, in the view's metric. Undefined where it is not known
 * of all: losses of rows with choices are estimated per answer, and measured per token.
 */
export function groupEstimate({ report, metric }: View, group: number): number | undefined {
  const estimates = (report.groups[group] ?? []).flatMap((name) => {
    const measured = scoreOf(report, "kindred", name)?.accuracy ?? null;
    const of = at(report.forecasts?.clients, name);
    if (metric === "accuracy") return measured === null ? [] : [of?.accuracy?.estimated];
    return [measured === null ? of?.loss.estimated : undefined];
  });
  const known = estimates.filter((value) => value !== undefined);
  if (known.length === 0 || known.length < estimates.length) return undefined;
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** The interval of a score in a metric. */
export function intervalIn(score: TestScore | undefined, metric: Metric): Interval | undefined {
  return metric === "accuracy" ? score?.accuracyInterval : score?.interval;
}

/** A gain in a metric, with its interval where test rows were kept; undefined where a score is missing. */
export function gainIn(
  { report, metric }: View,
  other: MethodName,
  of: { readonly client: string } | { readonly group: number } | "all",
): Difference | undefined {
  const gains = report.gains?.[other];
  const own = of === "all" ? gains?.mean : "client" in of ? at(gains?.clients, of.client) : gains?.groups?.[of.group];
  if (own !== undefined) return own[metric];
  const score = (method: MethodName): TestScore | undefined => {
    if (of === "all") return report.methods[method]?.mean;
    return "client" in of ? scoreOf(report, method, of.client) : report.methods[method]?.groups?.[of.group];
  };
  const value = gain(score("kindred"), score(other), metric);
  return value === null ? undefined : { value };
}

export interface ClientGain {
  readonly client: string;
  /** Index into `clients`. */
  readonly index: number;
  /** The best of the methods that Kindred is compared with, by this client's test rows. */
  readonly baseline: MethodName;
  readonly gain: Difference;
}

/**
 * Gain of each client over its best baseline, the largest first. The baseline is chosen by the same test rows, which favours it: where
 * methods are equal, the gain is below zero more often than above.
 */
export function clientGains(view: View): ClientGain[] {
  const { report, metric, methods } = view;
  if (report.methods.kindred === undefined) return [];
  const others = methods.filter((method) => method !== "kindred");
  const gains = report.clients.flatMap((client, index): ClientGain[] => {
    const scored = others.filter((method) => gainIn(view, method, { client }) !== undefined);
    const better = (a: MethodName, b: MethodName): number =>
      (gain(scoreOf(report, b, client), scoreOf(report, a, client), metric) ?? 0) ||
      (gain(scoreOf(report, b, client), scoreOf(report, a, client), "loss") ?? 0);
    const [baseline] = scored.sort(better);
    return baseline === undefined ? [] : [{ client, index, baseline, gain: gainIn(view, baseline, { client })! }];
  });
  return gains.sort((a, b) => b.gain.value - a.gain.value || a.index - b.index);
}

/** Of a difference's standard error, below which it is no more than chance would give in 95 of 100 cases. */
const SIGNIFICANT = 1.96;
/** Variances add: affinities that differ by chance alone have a spread of their standard error. */
const NOISE = Math.SQRT2;

/** Why there is no structure to show among the clients; undefined where there is. */
export function noStructure({ report }: View): string | undefined {
  const { clients, groups, grouping, estimation, affinity } = report;
  if (clients.length < 3)
    return `Of ${clients.length === 1 ? "one client" : "two clients"} there are no partners to compare.`;
  if (groups.length === 1)
    return "No structure found: by the estimate no division into groups gains more over one group for all than chance would give.";
  const chosen = grouping.candidates.find((candidate) => candidate.chosen);
  const { gainOverOne, standardError } = chosen ?? {};
  if (gainOverOne != null && standardError != null && !(gainOverOne > SIGNIFICANT * standardError))
    return `No structure found: these groups were asked for, and the estimate does not tell them from one group for all (gain ${fixed(gainOverOne, 4)} ± ${fixed(standardError, 4)} nats).`;
  const error = estimation.standardError ?? 0;
  const spread = spreadOf(affinity);
  if (spread <= NOISE * error)
    return `No structure found: affinities differ by ${significant(spread, 2)} nats in the median row, and the choice of subsets alone gives ${significant(error, 2)}.`;
  return undefined;
}

/** Clients by planted group (rows) and by group found (columns); undefined where nothing was planted. */
export function contingency(view: View): number[][] | undefined {
  const { planted, groups, clients } = view.report;
  const { plantedOf } = view;
  if (!planted || !plantedOf) return undefined;
  const table = planted.groups.map(() => groups.map(() => 0));
  clients.forEach((_, i) => {
    const row = table[plantedOf[i] ?? -1];
    const g = view.groupOf[i] ?? -1;
    if (row && g >= 0) row[g] = (row[g] ?? 0) + 1;
  });
  return table;
}

/** Groups count from 1 for users. */
export function groupName(group: number): string {
  return `Group ${group + 1}`;
}

export function plantedName(report: Report, group: number): string {
  return report.planted?.names?.[group] ?? `planted ${group + 1}`;
}

/** The value at quantile `q` (0..1), nearest rank. */
export function quantile(values: Iterable<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(q * (sorted.length - 1))))] ?? Number.NaN;
}
