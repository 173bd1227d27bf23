/**
 * From groups to an ensemble: one adapter a group, boosting adapters for the groups that fit worst, and each client's weights.
 */
import type { BlobRef } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import { type FitWeights, weightAlternatives } from "../../tasks/fit-weights/message.js";
import { BOOSTING_STEPS, bestAlternative, pooledLoss } from "../ensemble/weights.js";
import type { PipelineContext } from "./context.js";
import { type CurvePoint, type TrainedAdapter, trainFederated } from "./train.js";

export interface EnsembleMember {
  readonly name: string;
  /** Index of its group. */
  readonly group: number;
  readonly kind: "group" | "boost";
  readonly values: BlobRef;
  /** Its factor in its own group before weights are fitted: 1, or a boosting step's length. */
  readonly step: number;
}

export interface NamedCurve {
  readonly name: string;
  readonly unit: "round" | "step";
  readonly points: readonly CurvePoint[];
}

export interface EnsembleOutcome {
  readonly members: readonly EnsembleMember[];
  /** Client -> one weight a member. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  readonly curves: readonly NamedCurve[];
}

/** How many validation rows the prior (a client's own group) is worth where `strength` is auto. */
const DEFAULT_STRENGTH = 16;

/** The name under which a training of these clients is known: who stays alone has its local adapter, all together the shared one. */
export function trainingName(ctx: PipelineContext, clients: readonly string[], group: number): string {
  if (clients.length === 1) return `local-${ctx.clients.findIndex(({ name }) => name === clients[0])}`;
  return clients.length === ctx.clients.length ? "shared" : `group-${group + 1}`;
}

export async function buildEnsemble(
  ctx: PipelineContext,
  groups: readonly (readonly string[])[],
  learningRate: number,
): Promise<EnsembleOutcome> {
  const curves: NamedCurve[] = [];
  const members: EnsembleMember[] = [];
  const losses: number[] = [];
  const trainGroups = ctx.progress.stage("train groups", groups.length);
  for (const [group, clients] of groups.entries()) {
    const trained = await trainFederated(ctx, {
      name: trainingName(ctx, clients, group),
      stage: "train",
      methods: ["kindred"],
      clients,
      adapter: ctx.adapterSpec(),
      learningRate,
    });
    const name = `group-${group + 1}`;
    curves.push({ name, unit: trained.unit, points: trained.curve });
    losses.push(trained.validationLoss);
    if (trained.values !== undefined) members.push({ name, group, kind: "group", values: trained.values, step: 1 });
    trainGroups.tick(1, { loss: trained.validationLoss });
  }
  trainGroups.done();

  const boosting = ctx.progress.stage("boost", ctx.plan.boosting.rounds);
  const exhausted = new Set<number>();
  for (let boost = 0; boost < ctx.plan.boosting.rounds; boost++) {
    const group = worstGroup(losses, members, exhausted);
    if (group === undefined) break;
    const { member, curve, loss } = await boostGroup(ctx, groups[group]!, group, members, boost, learningRate);
    curves.push(curve);
    if (member === undefined) exhausted.add(group);
    else {
      members.push(member);
      losses[group] = loss;
    }
    boosting.tick(1, { group: group + 1, step: member?.step ?? 0 });
  }
  boosting.done();
  return { members, weights: await weigh(ctx, groups, members), curves };
}

/** The group with the highest loss that has a member and was not found beyond help. */
function worstGroup(
  losses: readonly number[],
  members: readonly EnsembleMember[],
  exhausted: ReadonlySet<number>,
): number | undefined {
  let worst: number | undefined;
  losses.forEach((loss, group) => {
    if (exhausted.has(group) || !members.some((member) => member.group === group)) return;
    if (worst === undefined || loss > (losses[worst] as number)) worst = group;
  });
  return worst;
}

/** Fits a new adapter to what the group's members leave, and finds how far to go along it on the group's validation rows. */
async function boostGroup(
  ctx: PipelineContext,
  clients: readonly string[],
  group: number,
  members: readonly EnsembleMember[],
  boost: number,
  learningRate: number,
): Promise<{ member?: EnsembleMember; curve: NamedCurve; loss: number }> {
  const own = members.filter((member) => member.group === group);
  const count = own.filter((member) => member.kind === "boost").length;
  const name = `group-${group + 1}-boost-${count + 1}`;
  // Other initial values: with the same A the new adapter would be the old one trained on.
  const adapter = ctx.adapterSpec(1 + boost);
  const trained: TrainedAdapter = await trainFederated(ctx, {
    name,
    stage: "boost",
    methods: ["kindred"],
    clients,
    adapter,
    learningRate,
    offset: own.map((member) => ({ adapter: member.values, weight: member.step })),
  });
  const curve: NamedCurve = { name, unit: trained.unit, points: trained.curve };
  if (trained.values === undefined) return { curve, loss: trained.startLoss };
  const fixed = own.map((member) => member.step);
  const task: Evaluate = {
    kind: "evaluate",
    adapter,
    members: [...own.map((member) => member.values), trained.values],
    mixtures: BOOSTING_STEPS.map((step) => [...fixed, step]),
    split: "validation",
    examplesLimit: 0,
  };
  const results = await ctx.ask("boost", ["kindred"], `step/${name}`, clients, () => task);
  const scores = [...results.values()].map((result) => result.scores);
  if (scores.length === 0) return { curve, loss: trained.startLoss };
  const best = bestAlternative(scores);
  const loss = pooledLoss(scores.map((client) => client[best]!));
  const step = BOOSTING_STEPS[best] as number;
  if (step === 0) return { curve, loss };
  return { member: { name, group, kind: "boost", values: trained.values, step }, curve, loss };
}

/**
 * Each client fits its weights on its validation rows, drawn to its own group's. A group keeps what its clients fitted only
 * where that is, on all their validation rows together, better than its own members alone, than uniform weights, and than any
 * single member.
 */
async function weigh(
  ctx: PipelineContext,
  groups: readonly (readonly string[])[],
  members: readonly EnsembleMember[],
): Promise<Map<string, readonly number[]>> {
  const weights = new Map<string, readonly number[]>();
  const priorOf = (group: number): number[] => members.map((member) => (member.group === group ? member.step : 0));
  const clients = groups.flat();
  if (members.length === 0) {
    for (const client of clients) weights.set(client, []);
    return weights;
  }
  const strength = ctx.plan.ensemble.strength === "auto" ? DEFAULT_STRENGTH : ctx.plan.ensemble.strength;
  const groupOf = new Map(groups.flatMap((names, group) => names.map((name) => [name, group] as const)));
  const refs = members.map((member) => member.values);
  const stage = ctx.progress.stage("weigh", clients.length);
  const fits = await ctx.ask(
    "weigh",
    ["kindred"],
    "weigh",
    clients,
    (client): FitWeights => ({
      kind: "fitWeights",
      adapter: ctx.adapterSpec(),
      members: refs,
      prior: priorOf(groupOf.get(client) as number),
      strength,
    }),
    () => stage.tick(),
  );
  stage.done();
  for (const [group, names] of groups.entries()) {
    const prior = priorOf(group);
    const found = names.flatMap((name) => fits.get(name) ?? []);
    const best = bestAlternative(found.map(({ tokens, nllSums }) => nllSums.map((nllSum) => ({ nllSum, tokens }))));
    for (const name of names) {
      const alternatives = weightAlternatives(fits.get(name)?.weights ?? prior, prior);
      weights.set(name, found.length > 0 ? (alternatives[best] as readonly number[]) : prior);
    }
  }
  return weights;
}
