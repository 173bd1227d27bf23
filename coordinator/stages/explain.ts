/**
 * Explains a client's group from the sketches: its partners by affinity, the effect of every move, and the effect of a client that leaves
 * or joins. Only the groups that a question concerns are solved. It knows nothing of the storage of runs.
 *
 * Changes are of estimated validation loss, nats per example, paired over held-out examples. The search used the same examples, which
 * favours the existing partition: by up to a few standard errors where clients hardly differ, since a search picks among many.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import type { PairedGain, SurrogateEvaluator } from "../estimation/partition-evaluator.js";
import type { PartitionConstraints } from "../grouping/constraints.js";
import type { Partition } from "../grouping/partition.js";

/** The result of a run's grouping. */
export interface GroupedClients {
  readonly clients: readonly string[];
  /** T, nats: row i holds the affinities of client i; higher is better. */
  readonly affinity: readonly ArrayLike<number>[];
  /** Standard errors of T by the choice of subsets, nats; null where each pair is in one subset of many. */
  readonly errors: readonly ArrayLike<number>[] | null;
  readonly partition: Partition;
  /** For the grouping, in a sentence. */
  readonly reason: string;
  readonly constraints: PartitionConstraints;
}

export interface ExplainQuestion {
  readonly client: string;
  /** Clients to evaluate as if they left the federation. */
  readonly without: readonly string[];
  /** Clients to evaluate as if they joined the client's group. */
  readonly joined: readonly string[];
}

/** A change of estimated loss: below 0 is better. */
export interface Change {
  /** Nats per example. */
  readonly loss: number;
  readonly standardError: number;
  /** Probability of this sign by a normal distribution with the standard error; null where nothing changes. */
  readonly confidence: number | null;
}

export interface Partner {
  readonly client: string;
  /** Number of its group, from 1. */
  readonly group: number;
  /** T_ij, nats, of the client with this partner. */
  readonly affinity: number;
  readonly standardError: number | null;
  /** T_ij minus the mean over all others. */
  readonly overMean: number;
  /** T_ji, nats, of the partner with the client. */
  readonly inReturn: number;
}

export interface Move {
  /** Number of the group, from 1; null: alone. */
  readonly group: number | null;
  /** Members of that group. */
  readonly members: readonly string[];
  /** Whether sizes, together and apart allow it. */
  readonly allowed: boolean;
  readonly own: Change;
  /** Mean over all clients. */
  readonly pooled: Change;
}

export interface WhatIf {
  readonly event: "without" | "with";
  readonly other: string;
  readonly own: Change;
  /** Mean over the client's group without the other client. */
  readonly group: Change;
  /** Mean over all clients; for `without`, over all that stay. */
  readonly pooled: Change;
  /** For the client that joins; null for `without`. */
  readonly theirs: Change | null;
}

export interface Explanation {
  readonly client: string;
  /** From 1. */
  readonly group: number;
  readonly members: readonly string[];
  /** Estimated validation loss in its group, nats per example. */
  readonly loss: number;
  readonly reason: string;
  /** At most five each, the best and the worst first; no client is in both. */
  readonly partners: { readonly best: readonly Partner[]; readonly worst: readonly Partner[] };
  /** Best for the client first. */
  readonly moves: readonly Move[];
  readonly whatIf: readonly WhatIf[];
}

const MOST_PARTNERS = 5;

/** @throws {KindredError} `invalid_option` for a client that the run does not have */
export async function explainClient(
  evaluator: SurrogateEvaluator,
  run: GroupedClients,
  { client, without, joined }: ExplainQuestion,
): Promise<Explanation> {
  const { clients, partition, constraints, reason } = run;
  const i = indexOf(clients, client);
  const home = partition.findIndex((group) => group.includes(i));
  const own = partition[home]!;
  const others = [
    ...without.map((name) => ({ event: "without" as const, name })),
    ...joined.map((name) => ({ event: "with" as const, name })),
  ];
  const asked = others.map(({ event, name }) => {
    const other = indexOf(clients, name);
    if (other === i)
      throw new KindredError(
        "invalid_option",
        `--${event}: ${brief(name)} is the explained client itself; name another one`,
      );
    if (event === "with" && own.includes(other))
      throw new KindredError(
        "invalid_option",
        `--with: ${brief(name)} is already in the group of ${brief(client)}; name another client`,
      );
    const after = event === "without" ? moved(partition, other, null) : moved(partition, other, home);
    return { event, other, after };
  });
  const targets = partition.map((_, c) => c).filter((c) => c !== home);
  const places = [...targets, ...(own.length > 1 ? [null] : [])];
  const moves = places.map((to) => ({ to, after: moved(partition, i, to) }));
  // In one call, so that groups in common are solved once.
  await evaluator.values([partition, ...moves.map(({ after }) => after), ...asked.map(({ after }) => after)]);

  const changeOf = async (after: Partition, of?: readonly number[]): Promise<Change> => {
    const counts = of && Float64Array.from(clients, (_, at) => (of.includes(at) ? 1 : 0));
    return asChange(await evaluator.compare(after, partition, counts));
  };
  const values = await evaluator.clientValues(partition);
  const found: Move[] = [];
  for (const { to, after } of moves)
    found.push({
      group: to === null ? null : to + 1,
      members: to === null ? [] : partition[to]!.map((at) => clients[at]!),
      allowed: constraints.allows(after),
      own: await changeOf(after, [i]),
      pooled: await changeOf(after),
    });
  const whatIf: WhatIf[] = [];
  for (const { event, other, after } of asked) {
    const staying = own.filter((at) => at !== other);
    const everyone = clients.map((_, at) => at);
    whatIf.push({
      event,
      other: clients[other]!,
      own: await changeOf(after, [i]),
      group: await changeOf(after, staying),
      pooled: await changeOf(after, event === "without" ? everyone.filter((at) => at !== other) : everyone),
      theirs: event === "with" ? await changeOf(after, [other]) : null,
    });
  }
  return {
    client,
    group: home + 1,
    members: own.map((at) => clients[at]!),
    loss: -values[i]!,
    reason,
    partners: partnersOf(run, i),
    moves: found.sort((a, b) => a.own.loss - b.own.loss),
    whatIf,
  };
}

/** @throws {KindredError} `invalid_option` for an unknown name */
function indexOf(clients: readonly string[], name: string): number {
  const at = clients.indexOf(name);
  if (at >= 0) return at;
  const known = clients.slice(0, 5).map(brief).join(", ");
  const message = `the run has no client ${brief(name)}; it has ${clients.length} clients, beginning with ${known}`;
  throw new KindredError("invalid_option", message, { client: name });
}

/** The partition with one client in another group, or alone; a group without members left is dropped. */
function moved(partition: Partition, client: number, to: number | null): Partition {
  const rest = partition.map((group, c) => {
    const others = group.filter((at) => at !== client);
    return c === to ? [...others, client].sort((a, b) => a - b) : others;
  });
  return [...rest.filter((group) => group.length > 0), ...(to === null ? [[client]] : [])];
}

function partnersOf({ clients, affinity, errors, partition }: GroupedClients, i: number): Explanation["partners"] {
  const others = clients.map((_, j) => j).filter((j) => j !== i);
  const mean = others.reduce((sum, j) => sum + affinity[i]![j]!, 0) / Math.max(1, others.length);
  const sorted = others
    .map(
      (j): Partner => ({
        client: clients[j]!,
        group: partition.findIndex((group) => group.includes(j)) + 1,
        affinity: affinity[i]![j]!,
        standardError: errors?.[i]?.[j] ?? null,
        overMean: affinity[i]![j]! - mean,
        inReturn: affinity[j]![i]!,
      }),
    )
    .sort((a, b) => b.affinity - a.affinity);
  const best = Math.min(MOST_PARTNERS, Math.ceil(sorted.length / 2));
  const worst = Math.min(MOST_PARTNERS, sorted.length - best);
  return { best: sorted.slice(0, best), worst: sorted.slice(sorted.length - worst).reverse() };
}

function asChange({ gain, standardError }: PairedGain): Change {
  // Avoids a negative zero.
  if (gain === 0) return { loss: 0, standardError, confidence: null };
  const confidence = standardError > 0 ? normalBelow(Math.abs(gain) / standardError) : 1;
  return { loss: -gain, standardError, confidence };
}

/** Share of a standard normal distribution below z >= 0, to 8e-8 (Abramowitz and Stegun 1964, 26.2.17). */
function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return 1 - (Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}
