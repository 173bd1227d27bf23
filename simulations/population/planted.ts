/**
 * Populations with planted groups: every client sorts the same kind of tickets to the same two desks, but each group of
 * clients has its own house rule on the desk of each topic. On each topic in conflict half of the groups contradict the
 * other half, so one adapter for all is right at most half of the time; a client's few rows name most topics once, twice
 * or never, so one adapter per client lacks data. It knows nothing of models, tokenizers or training.
 */

import { KindredError } from "../../shared/base/errors.js";
import { MAX_CLIENTS } from "../../shared/base/limits.js";
import { SeededRng } from "../../shared/base/random.js";
import { DESKS, deskPrompt, drawTicket, TOPIC_NAMES } from "./tickets.js";

export interface PlantedOptions {
  /** Any integer: the same seed, the same population. */
  readonly seed: number;
  /** Clients of each group. @default [6, 6, 6, 6] */
  readonly groupSizes?: readonly number[];
  /** Training rows per client. @default 24 */
  readonly train?: number;
  /** Validation rows per client. @default 8 */
  readonly validation?: number;
  /** Test rows per client. @default 200 */
  readonly test?: number;
  /** False: all clients follow one rule and are planted as one group, named "all". @default true */
  readonly conflict?: boolean;
  /** Number of topics of tickets, drawn from sixteen. @default 8 */
  readonly topics?: number;
  /** Number of topics that all groups send to the same desk. @default 0 */
  readonly agreedTopics?: number;
  /** Probability of a wrong desk in a row, in every split. @default 0.05 */
  readonly labelNoise?: number;
  /** Concentration of the Dirichlet distribution of a client's topics: small is uneven. @default 6 */
  readonly topicConcentration?: number;
}

export interface ChoiceRow {
  readonly prompt: string;
  readonly completion: string;
  readonly choices: readonly string[];
}

export interface PlantedClient {
  readonly client: string;
  readonly group: string;
  readonly train: readonly ChoiceRow[];
  readonly validation: readonly ChoiceRow[];
  readonly test: readonly ChoiceRow[];
}

export interface PlantedPopulation {
  readonly clients: readonly PlantedClient[];
  /** A group's rule: topic to desk, without noise. */
  readonly rules: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

const HOUSES = ["harbour", "meadow", "castle", "market", "station", "bridge", "tower", "orchard"];
/**
 * The answers of rules. There are only two desks: with more, training could raise two contradicting rules together at the cost of the
 * desks that neither uses, and the estimator, whose margins are linear, would underestimate a conflict.
 */
export const RULE_DESKS: readonly string[] = DESKS.slice(0, 2);
const CHOICES: readonly string[] = RULE_DESKS.map((desk) => ` ${desk}`);

/**
 * Draws a population.
 *
 * @throws {KindredError} `invalid_option` naming the field, its bounds and the value
 */
export function plantedPopulation(options: PlantedOptions): PlantedPopulation {
  const plan = {
    groupSizes: options.groupSizes ?? [6, 6, 6, 6],
    train: options.train ?? 24,
    validation: options.validation ?? 8,
    test: options.test ?? 200,
    conflict: options.conflict ?? true,
    topics: options.topics ?? 8,
    agreedTopics: options.agreedTopics ?? 0,
    labelNoise: options.labelNoise ?? 0.05,
    topicConcentration: options.topicConcentration ?? 6,
  };
  bound("groupSizes.length", plan.groupSizes.length, 1, HOUSES.length, true);
  for (const [g, size] of plan.groupSizes.entries()) bound(`groupSizes[${g}]`, size, 1, MAX_CLIENTS, true);
  bound("train", plan.train, 1, 2_000, true);
  bound("validation", plan.validation, 1, 2_000, true);
  bound("test", plan.test, 1, 2_000, true);
  bound("topics", plan.topics, 1, TOPIC_NAMES.length, true);
  bound("agreedTopics", plan.agreedTopics, 0, plan.topics, true);
  bound("labelNoise", plan.labelNoise, 0, 1, false);
  bound("topicConcentration", plan.topicConcentration, 0.01, 1e6, false);

  const topics = new SeededRng(options.seed, "planted-topics").shuffle([...TOPIC_NAMES]).slice(0, plan.topics);
  const names = plan.conflict ? HOUSES.slice(0, plan.groupSizes.length) : ["all"];
  const rules = houseRules(options.seed, names, topics, plan.conflict ? plan.agreedTopics : topics.length);
  const clients: PlantedClient[] = [];
  plan.groupSizes.forEach((size, g) => {
    const group = plan.conflict ? (HOUSES[g] as string) : "all";
    for (let k = 0; k < size; k++) {
      const client = `${HOUSES[g]}-${String(k + 1).padStart(2, "0")}`;
      const rng = new SeededRng(options.seed, "planted-client", client);
      const rows = drawRows(rng, rules.get(group) as ReadonlyMap<string, string>, {
        count: plan.train + plan.validation + plan.test,
        labelNoise: plan.labelNoise,
        topics,
        topicShares: dirichlet(rng, topics.length, plan.topicConcentration),
      });
      clients.push({
        client,
        group,
        train: rows.slice(0, plan.train),
        validation: rows.slice(plan.train, plan.train + plan.validation),
        test: rows.slice(plan.train + plan.validation),
      });
    }
  });
  // The order must not reveal the groups.
  return { clients: new SeededRng(options.seed, "planted-order").shuffle(clients), rules };
}

/** The population file's text: one client per line. */
export function populationLines(population: PlantedPopulation): string {
  return population.clients.map((client) => `${JSON.stringify(client)}\n`).join("");
}

/**
 * Rules that contradict each other on all topics but the first `agreed`. On a topic in conflict half of the groups have one desk and
 * half the other. The choice of the half is a pattern, and the topics use all patterns in random order. So with four
 * groups, within every six topics, any two groups disagree on four and every rule uses each desk three times: neither desk
 * counts nor a swap of the desks distinguishes groups, and the majority is right for no group more often than a coin.
 */
function houseRules(
  seed: number,
  groups: readonly string[],
  topics: readonly string[],
  agreed: number,
): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const rng = new SeededRng(seed, "planted-rules");
  const patterns = halves(groups.length);
  const order: number[] = [];
  while (order.length < topics.length) order.push(...rng.permutation(patterns.length));
  const rules = new Map(groups.map((group) => [group, new Map<string, string>()]));
  topics.forEach((topic, i) => {
    const pattern = patterns[order[i] as number] as number;
    groups.forEach((group, g) => {
      const desk = i < agreed ? i % 2 : (pattern >> g) & 1;
      rules.get(group)?.set(topic, RULE_DESKS[desk] as string);
    });
  });
  return rules;
}

/** All divisions of the groups into two halves (as equal as their number allows), each in both orders, as bit masks. */
function halves(groups: number): number[] {
  const small = Math.floor(groups / 2);
  const masks: number[] = [];
  for (let mask = 0; mask < 2 ** groups; mask++) {
    let ones = 0;
    for (let g = 0; g < groups; g++) ones += (mask >> g) & 1;
    if (ones === small || ones === groups - small) masks.push(mask);
  }
  return masks;
}

/** Distinct tickets, so that no row is in two splits. */
function drawRows(
  rng: SeededRng,
  rule: ReadonlyMap<string, string>,
  plan: { count: number; labelNoise: number; topics: readonly string[]; topicShares: readonly number[] },
): ChoiceRow[] {
  const rows: ChoiceRow[] = [];
  const seen = new Set<string>();
  while (rows.length < plan.count) {
    const ticket = drawTicket(rng, plan.topics[drawIndex(rng, plan.topicShares)] as string);
    if (seen.has(ticket.text)) continue;
    seen.add(ticket.text);
    const right = rule.get(ticket.topic) as string;
    const desk = rng.uniform() < plan.labelNoise ? rng.pick(RULE_DESKS.filter((other) => other !== right)) : right;
    rows.push({ prompt: deskPrompt(ticket), completion: ` ${desk}`, choices: CHOICES });
  }
  return rows;
}

function drawIndex(rng: SeededRng, shares: readonly number[]): number {
  let left = rng.uniform();
  for (let i = 0; i < shares.length - 1; i++) {
    left -= shares[i] as number;
    if (left < 0) return i;
  }
  return shares.length - 1;
}

/** Symmetric Dirichlet by normalised gamma variates. */
function dirichlet(rng: SeededRng, size: number, concentration: number): number[] {
  const draws = Array.from({ length: size }, () => gamma(rng, concentration));
  const sum = draws.reduce((a, b) => a + b, 0);
  return draws.map((x) => x / sum);
}

/** Gamma variate of unit scale (Marsaglia and Tsang 2000; shapes below 1 by the power of a uniform). */
function gamma(rng: SeededRng, shape: number): number {
  if (shape < 1) return gamma(rng, shape + 1) * (1 - rng.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - rng.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

function bound(field: string, value: number, least: number, most: number, whole: boolean): void {
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return;
  const kind = whole ? "a whole number" : "a number";
  throw new KindredError(
    "invalid_option",
    `PlantedOptions.${field} must be ${kind} in ${least}..${most}, got ${value}`,
    {
      field,
      value,
    },
  );
}
