/**
 * Checks that a value is a report in the form of the contract: the fields that other programs read are present, groups are a
 * partition, the affinity is square, every number is finite, means are means. A wrong field is a defect of the program, so the error is
 * `internal` and names the field.
 */
import { KindredError } from "../../shared/base/errors.js";
import { at, METHODS, type Report } from "./types.js";

/** Relative error of sums: sums of a thousand clients in another order differ by less. */
const MEAN_TOLERANCE = 1e-9;

type Fields = Readonly<Record<string, unknown>>;

function refuse(field: string, wants: string, got: unknown): never {
  const shown = typeof got === "object" && got !== null ? (Array.isArray(got) ? "a list" : "an object") : String(got);
  throw new KindredError("internal", `report.${field} must be ${wants}, got ${shown}`, { field });
}

function object(field: string, value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : refuse(field, "an object", value);
}

function list(field: string, value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(field, "a list", value);
}

function string(field: string, value: unknown): string {
  return typeof value === "string" ? value : refuse(field, "a string", value);
}

function number(field: string, value: unknown, least = Number.NEGATIVE_INFINITY): number {
  if (typeof value !== "number" || !Number.isFinite(value)) return refuse(field, "a finite number", value);
  return value >= least ? value : refuse(field, `at least ${least}`, value);
}

function share(field: string, value: unknown): number | null {
  if (value === null) return null;
  return number(field, value, 0) <= 1 ? (value as number) : refuse(field, "at most 1", value);
}

function interval(field: string, value: unknown): void {
  if (value === undefined) return;
  const [low, high, ...more] = list(field, value).map((end, k) => number(`${field}[${k}]`, end));
  if (low === undefined || high === undefined || more.length > 0 || low > high)
    refuse(field, "two numbers, the lower one first", JSON.stringify(value));
}

const INTERVALS = ["interval", "accuracyInterval", "macroF1Interval"] as const;

function intervals(field: string, score: Fields): void {
  for (const key of INTERVALS) interval(`${field}.${key}`, score[key]);
}

function partition(field: string, value: unknown, clients: ReadonlySet<string>): void {
  const seen = new Set<string>();
  list(field, value).forEach((group, g) => {
    const names = list(`${field}[${g}]`, group);
    if (names.length === 0) refuse(`${field}[${g}]`, "a group with at least one client", "an empty list");
    for (const item of names) {
      const name = string(`${field}[${g}]`, item);
      if (!clients.has(name)) refuse(`${field}[${g}]`, "a list of clients of the report", JSON.stringify(name));
      if (seen.has(name)) refuse(field, "a partition", `${JSON.stringify(name)} twice`);
      seen.add(name);
    }
  });
  for (const name of clients)
    if (!seen.has(name)) refuse(field, "a partition", `no group with ${JSON.stringify(name)}`);
}

function near(field: string, value: number | null, values: readonly number[]): void {
  if (values.length === 0) {
    if (value !== null) refuse(field, "null, since no client has a value", value);
    return;
  }
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  if (value === null || Math.abs(value - mean) > MEAN_TOLERANCE * Math.max(1, Math.abs(mean)))
    refuse(field, `the mean over clients, ${mean}`, value);
}

function method(field: string, value: unknown, clients: readonly string[]): void {
  const result = object(field, value);
  const scores = object(`${field}.clients`, result.clients);
  const losses: number[] = [];
  const accuracies: number[] = [];
  const f1s: number[] = [];
  for (const name of clients) {
    const path = `${field}.clients[${JSON.stringify(name)}]`;
    const score = object(path, at(scores, name));
    losses.push(number(`${path}.loss`, score.loss));
    const accuracy = share(`${path}.accuracy`, score.accuracy);
    if (accuracy !== null) accuracies.push(accuracy);
    intervals(path, score);
    if (score.macroF1 !== undefined) f1s.push(share(`${path}.macroF1`, score.macroF1) ?? Number.NaN);
  }
  if (Object.keys(scores).length !== clients.length)
    refuse(`${field}.clients`, "the clients of the report", "other clients");
  const mean = object(`${field}.mean`, result.mean);
  intervals(`${field}.mean`, mean);
  near(`${field}.mean.loss`, number(`${field}.mean.loss`, mean.loss), losses);
  near(`${field}.mean.accuracy`, share(`${field}.mean.accuracy`, mean.accuracy), accuracies);
  near(`${field}.mean.macroF1`, share(`${field}.mean.macroF1`, mean.macroF1 ?? null), f1s);
}

const COST_FIELDS = ["flops", "bytesUp", "bytesDown", "wallSeconds"] as const;

/** Checks that a method's cost is the sum over its stages. */
function cost(field: string, value: unknown): void {
  const total = object(field, value);
  const stages = Object.entries(object(`${field}.stages`, total.stages));
  for (const key of COST_FIELDS) {
    let sum = 0;
    for (const [name, stage] of stages) {
      const path = `${field}.stages[${JSON.stringify(name)}]`;
      sum += number(`${path}.${key}`, object(path, stage)[key], 0);
    }
    const whole = number(`${field}.${key}`, total[key], 0);
    if (Math.abs(whole - sum) > MEAN_TOLERANCE * Math.max(1, sum))
      refuse(`${field}.${key}`, `${sum}, the sum over its stages`, whole);
  }
}

function trials(field: string, value: unknown): void {
  list(field, value).forEach((item, s) => {
    const trial = object(`${field}[${s}]`, item);
    number(`${field}[${s}].learningRate`, trial.learningRate, 0);
    if (trial.validationLoss !== null) number(`${field}[${s}].validationLoss`, trial.validationLoss);
  });
}

/**
 * @returns the same value, as a report
 * @throws {KindredError} `internal` naming the first field that is wrong
 */
export function checkReport(value: unknown): Report {
  const report = object("", value);
  string("title", report.title);
  const clients = list("clients", report.clients).map((name, i) => string(`clients[${i}]`, name));
  const names = new Set(clients);
  if (names.size !== clients.length) refuse("clients", "distinct names", "a name twice");
  partition("groups", report.groups, names);
  checkAffinity(report.affinity, clients.length);
  checkMethods(report, clients);
  if (report.planted !== undefined) {
    const planted = object("planted", report.planted);
    partition("planted.groups", planted.groups, names);
    if (number("planted.adjustedRandIndex", planted.adjustedRandIndex, -1) > 1)
      refuse("planted.adjustedRandIndex", "at most 1", planted.adjustedRandIndex);
  }
  number("learningRate", report.learningRate, 0);
  number("seed", report.seed);
  for (const [name, version] of Object.entries(object("versions", report.versions)))
    string(`versions.${name}`, version);
  number("peakRssBytes", report.peakRssBytes, 0);
  list("curves", report.curves).forEach((curve, c) => {
    checkCurve(`curves[${c}]`, curve);
  });
  checkEnsemble(report, clients);
  checkGains(report, clients);
  checkGrouping(report.grouping);
  trials("sweep", report.sweep);
  if (report.full !== undefined) {
    const full = object("full", report.full);
    number("full.learningRate", full.learningRate, 0);
    trials("full.sweep", full.sweep);
  }
  checkEstimation(report.estimation);
  list("stages", report.stages ?? []).forEach((item, s) => {
    const stage = object(`stages[${s}]`, item);
    string(`stages[${s}].stage`, stage.stage);
    number(`stages[${s}].wallSeconds`, stage.wallSeconds, 0);
  });
  list("faults", report.faults).forEach((item, f) => {
    const fault = object(`faults[${f}]`, item);
    for (const key of ["client", "stage", "message"]) string(`faults[${f}].${key}`, fault[key]);
  });
  string("model.name", object("model", report.model).name);
  return value as Report;
}

function checkAffinity(value: unknown, clients: number): void {
  const affinity = list("affinity", value);
  if (affinity.length !== clients) refuse("affinity", `${clients} rows`, affinity.length);
  affinity.forEach((item, i) => {
    const row = list(`affinity[${i}]`, item);
    if (row.length !== clients) refuse(`affinity[${i}]`, `${clients} numbers`, row.length);
    row.forEach((x, j) => {
      number(`affinity[${i}][${j}]`, x);
    });
  });
}

function checkMethods(report: Fields, clients: readonly string[]): void {
  const methods = object("methods", report.methods);
  const costs = object("cost", report.cost);
  for (const [field, record] of Object.entries({ methods, cost: costs }))
    for (const key of Object.keys(record))
      if (!(METHODS as readonly string[]).includes(key)) refuse(field, `of ${METHODS.join(", ")}`, JSON.stringify(key));
  for (const name of METHODS) {
    if (methods[name] !== undefined) method(`methods.${name}`, methods[name], clients);
    if (costs[name] !== undefined) cost(`cost.${name}`, costs[name]);
  }
}

/** Checks that each gain is the difference of the methods' scores. */
function checkGains(report: Fields, clients: readonly string[]): void {
  const methods = report.methods as Readonly<Record<string, Fields>>;
  for (const [method, value] of Object.entries(object("gains", report.gains ?? {}))) {
    const gains = object(`gains.${method}`, value);
    const own = object(`gains.${method}.clients`, gains.clients);
    const check = (path: string, item: unknown, ours: unknown, theirs: unknown): void => {
      const { loss, accuracy } = object(path, item);
      const [a, b] = [object(path, ours), object(path, theirs)];
      difference(`${path}.loss`, loss, (b.loss as number) - (a.loss as number));
      if (accuracy !== undefined)
        difference(`${path}.accuracy`, accuracy, (a.accuracy as number) - (b.accuracy as number));
    };
    const [ours, theirs] = [methods.kindred, methods[method]];
    for (const name of clients)
      check(
        `gains.${method}.clients[${JSON.stringify(name)}]`,
        at(own, name),
        at(ours?.clients as Fields, name),
        at(theirs?.clients as Fields, name),
      );
    check(`gains.${method}.mean`, gains.mean, ours?.mean, theirs?.mean);
  }
}

function difference(field: string, value: unknown, expected: number): void {
  const { value: got, interval: range } = object(field, value);
  if (Math.abs(number(`${field}.value`, got) - expected) > MEAN_TOLERANCE * Math.max(1, Math.abs(expected)))
    refuse(`${field}.value`, `the difference of the scores, ${expected}`, got);
  interval(`${field}.interval`, range);
}

function checkCurve(field: string, value: unknown): void {
  const curve = object(field, value);
  string(`${field}.name`, curve.name);
  let before = Number.NEGATIVE_INFINITY;
  list(`${field}.points`, curve.points).forEach((entry, p) => {
    const path = `${field}.points[${p}]`;
    const point = object(path, entry);
    const step = number(`${path}.step`, point.step);
    if (step <= before) refuse(`${path}.step`, `above ${before}`, step);
    before = step;
    for (const key of ["trainLoss", "validationLoss"])
      if (point[key] !== undefined) number(`${path}.${key}`, point[key]);
  });
}

/** Checks members and weights. */
function checkEnsemble(report: Fields, clients: readonly string[]): void {
  const members = list("members", report.members);
  const groups = (report.groups as readonly unknown[]).length;
  members.forEach((item, m) => {
    const member = object(`members[${m}]`, item);
    string(`members[${m}].name`, member.name);
    if (!Number.isInteger(number(`members[${m}].group`, member.group, 0)) || (member.group as number) >= groups)
      refuse(`members[${m}].group`, `an index into ${groups} groups`, member.group);
    if (member.kind !== "group" && member.kind !== "boost") refuse(`members[${m}].kind`, "group or boost", member.kind);
  });
  const weights = object("weights", report.weights);
  for (const name of clients) {
    const path = `weights[${JSON.stringify(name)}]`;
    const row = list(path, at(weights, name));
    if (row.length !== members.length) refuse(path, `${members.length} numbers, one per member`, row.length);
    row.forEach((weight, m) => {
      number(`${path}[${m}]`, weight, 0);
    });
  }
}

function checkGrouping(value: unknown): void {
  const candidates = list("grouping.candidates", object("grouping", value).candidates);
  candidates.forEach((item, c) => {
    const candidate = object(`grouping.candidates[${c}]`, item);
    string(`grouping.candidates[${c}].label`, candidate.label);
    number(`grouping.candidates[${c}].groups`, candidate.groups, 1);
    if (candidate.judged !== null) number(`grouping.candidates[${c}].judged`, candidate.judged);
  });
  const chosen = candidates.filter((item) => (item as Fields).chosen === true).length;
  if (candidates.length > 0 && chosen !== 1) refuse("grouping.candidates", "a list with one chosen", chosen);
}

function checkEstimation(value: unknown): void {
  const estimation = object("estimation", value);
  for (const key of ["subsets", "subsetSize", "dim"]) number(`estimation.${key}`, estimation[key], 0);
  const coverage = object("estimation.pairCoverage", estimation.pairCoverage);
  for (const key of ["min", "mean", "max"]) number(`estimation.pairCoverage.${key}`, coverage[key], 0);
}
