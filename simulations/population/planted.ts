/**
 * Populations with planted groups: every client sorts the same kind of tickets to the same four desks, but each group of
 * clients has its own house rule about which topic goes where. On the topics in conflict no two groups agree (as far as
 * there are desks enough), so one adapter for all cannot be right; a client's few rows name most topics once or not at
 * all, so one adapter a client knows too little. Knows nothing of models, tokenizers or training.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import { DESKS, deskPrompt, drawTicket, TOPIC_NAMES } from "./tickets.js";

export interface PlantedOptions {
  /** Any integer: the same seed, the same population. */
  readonly seed: number;
  /** Clients of each group. @default [6, 6, 6, 6] */
  readonly groupSizes?: readonly number[];
  /** Training rows a client. @default 20 */
  readonly train?: number;
  /** Validation rows a client. @default 8 */
  readonly validation?: number;
  /** Test rows a client. @default 200 */
  readonly test?: number;
  /** False: every group follows the same rule, and the right number of groups is one. @default true */
  readonly conflict?: boolean;
  /** Topics of the sixteen that all groups send to the same desk. @default 4 */
  readonly agreedTopics?: number;
  /** Probability that a row's desk is drawn from the wrong ones, in every split. @default 0.05 */
  readonly labelNoise?: number;
  /** Concentration of the Dirichlet distribution of a client's topics: small is uneven. @default 3 */
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
const CHOICES: readonly string[] = DESKS.map((desk) => ` ${desk}`);

/**
 * Draws a population.
 *
 * @throws {KindredError} `invalid_option` naming the field, its bounds and the value
 */
export function plantedPopulation(options: PlantedOptions): PlantedPopulation {
  const plan = {
    groupSizes: options.groupSizes ?? [6, 6, 6, 6],
    train: options.train ?? 20,
    validation: options.validation ?? 8,
    test: options.test ?? 200,
    conflict: options.conflict ?? true,
    agreedTopics: options.agreedTopics ?? 4,
    labelNoise: options.labelNoise ?? 0.05,
    topicConcentration: options.topicConcentration ?? 3,
  };
  bound("groupSizes.length", plan.groupSizes.length, 1, HOUSES.length, true);
  for (const [g, size] of plan.groupSizes.entries()) bound(`groupSizes[${g}]`, size, 1, 10_000, true);
  bound("train", plan.train, 1, 2_000, true);
  bound("validation", plan.validation, 1, 2_000, true);
  bound("test", plan.test, 1, 2_000, true);
  bound("agreedTopics", plan.agreedTopics, 0, TOPIC_NAMES.length, true);
  bound("labelNoise", plan.labelNoise, 0, 1, false);
  bound("topicConcentration", plan.topicConcentration, 0.01, 1e6, false);

  const rules = houseRules(
    options.seed,
    plan.groupSizes.length,
    plan.conflict ? plan.agreedTopics : TOPIC_NAMES.length,
  );
  const clients: PlantedClient[] = [];
  plan.groupSizes.forEach((size, g) => {
    const group = HOUSES[g] as string;
    for (let k = 0; k < size; k++) {
      const client = `${group}-${String(k + 1).padStart(2, "0")}`;
      const rng = new SeededRng(options.seed, "planted-client", client);
      const rows = drawRows(rng, rules.get(group) as ReadonlyMap<string, string>, {
        count: plan.train + plan.validation + plan.test,
        labelNoise: plan.labelNoise,
        topicShares: dirichlet(rng, TOPIC_NAMES.length, plan.topicConcentration),
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
  // The order must not give the groups away to a method that looks at it.
  return { clients: new SeededRng(options.seed, "planted-order").shuffle(clients), rules };
}

/** The population file's text: one client a line. */
export function populationLines(population: PlantedPopulation): string {
  return population.clients.map((client) => `${JSON.stringify(client)}\n`).join("");
}

/**
 * A Latin square over the topics in conflict: desk(group g, topic) = start + g * step, step 1 or -1 a topic, so every
 * desk is equally frequent in every rule and neither desk counts nor a fixed renaming of desks tells the groups apart.
 */
function houseRules(seed: number, groups: number, agreed: number): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const topics = new SeededRng(seed, "planted-rules").shuffle([...TOPIC_NAMES]);
  const desks = DESKS.length;
  const rules = new Map<string, ReadonlyMap<string, string>>();
  for (let g = 0; g < groups; g++) {
    const rule = new Map<string, string>();
    topics.forEach((topic, i) => {
      const step = i < agreed ? 0 : Math.floor(i / desks) % 2 === 0 ? 1 : desks - 1;
      rule.set(topic, DESKS[(i + g * step) % desks] as string);
    });
    rules.set(HOUSES[g] as string, rule);
  }
  return rules;
}

/** Distinct tickets, so that no row of one split is in another. */
function drawRows(
  rng: SeededRng,
  rule: ReadonlyMap<string, string>,
  plan: { count: number; labelNoise: number; topicShares: readonly number[] },
): ChoiceRow[] {
  const rows: ChoiceRow[] = [];
  const seen = new Set<string>();
  while (rows.length < plan.count) {
    const ticket = drawTicket(rng, TOPIC_NAMES[drawIndex(rng, plan.topicShares)] as string);
    if (seen.has(ticket.text)) continue;
    seen.add(ticket.text);
    const right = rule.get(ticket.topic) as string;
    const desk = rng.uniform() < plan.labelNoise ? rng.pick(DESKS.filter((other) => other !== right)) : right;
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
