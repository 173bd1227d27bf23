/**
 * Each client fits its mixture weights on its validation rows, drawn towards its own group's members. A group keeps the fitted weights
 * only where they are better, on all validation rows of the group together, than its own members alone, than uniform weights, and
 * than any single member.
 */
import type { AdapterSpec } from "../../../shared/wire/types.js";
import { type FitWeights, weightAlternatives } from "../../../tasks/fit-weights/message.js";
import { bestAlternative } from "../../ensemble/weights.js";
import { beginStage, type EventSink } from "../../events/events.js";
import type { Books } from "../../run/books.js";
import type { Cohort } from "../../run/cohort.js";
import type { EnsembleMember } from "../method.js";

/** How many validation rows the prior (a client's own group) is worth where `strength` is auto. */
const DEFAULT_STRENGTH = 16;

export interface WeightFitting {
  readonly groups: readonly (readonly string[])[];
  readonly members: readonly EnsembleMember[];
  readonly strength: "auto" | number;
}

/** @returns client -> one weight per member */
export async function fitEnsemble(
  { cohort, books, events }: { readonly cohort: Cohort; readonly books: Books; readonly events: EventSink },
  adapter: AdapterSpec,
  { groups, members, strength }: WeightFitting,
): Promise<Map<string, readonly number[]>> {
  const weights = new Map<string, readonly number[]>();
  const priorOf = (group: number): number[] => members.map((member) => (member.group === group ? member.step : 0));
  const clients = groups.flat();
  if (members.length === 0) {
    for (const client of clients) weights.set(client, []);
    return weights;
  }
  const groupOf = new Map(groups.flatMap((names, group) => names.map((name) => [name, group] as const)));
  const refs = members.map((member) => member.values);
  const stage = beginStage(events, "weigh", clients.length);
  const { results: fits, charges } = await cohort.ask({
    stage: "weigh",
    key: "weigh",
    clients,
    taskOf: (client): FitWeights => ({
      kind: "fitWeights",
      adapter,
      members: refs,
      prior: priorOf(groupOf.get(client)!),
      strength: strength === "auto" ? DEFAULT_STRENGTH : strength,
    }),
    weight: (rows) => rows.validation,
    onShare: (share, answered) => stage.answered(share, answered, clients.length),
  });
  books.charge(["kindred"], "weigh", charges);
  stage.end();
  for (const [group, names] of groups.entries()) {
    const prior = priorOf(group);
    const found = names.flatMap((name) => fits.get(name) ?? []);
    const best = bestAlternative(found.map(({ tokens, nllSums }) => nllSums.map((nllSum) => ({ nllSum, tokens }))));
    for (const name of names) {
      const alternatives = weightAlternatives(fits.get(name)?.weights ?? prior, prior);
      weights.set(name, found.length > 0 ? alternatives[best]! : prior);
    }
  }
  return weights;
}
