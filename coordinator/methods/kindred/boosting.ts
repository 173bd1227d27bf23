/**
 * Boosting: the group that fits worst gets one more adapter, which is fitted to what the group's members leave, and added with a step
 * that is found on the group's validation rows.
 */
import type { Evaluate } from "../../../tasks/evaluate/message.js";
import { BOOSTING_STEPS, bestAlternative, pooledLoss } from "../../ensemble/weights.js";
import { beginStage, type EventInfo, lossFact } from "../../events/events.js";
import { trainFederated } from "../../rounds/train.js";
import type { TrainedAdapter, TrainingParts } from "../../rounds/training-job.js";
import type { BoostingStep, EnsembleMember, KindredTrained, NamedCurve } from "../method.js";
import type { GroupAdapters } from "./group-adapters.js";

/** @returns the groups' members with the boosting adapters behind them */
export async function boostGroups(
  parts: TrainingParts,
  groups: readonly (readonly string[])[],
  trained: GroupAdapters,
  { rounds, learningRate }: { readonly rounds: number; readonly learningRate: number },
): Promise<Pick<KindredTrained, "members" | "curves" | "boosting">> {
  const members = [...trained.members];
  const losses = [...trained.losses];
  const curves: NamedCurve[] = [];
  const boosting: BoostingStep[] = [];
  const stage = beginStage(parts.events, "boost", rounds);
  const exhausted = new Set<number>();
  for (let boost = 0; boost < rounds; boost++) {
    const group = worstGroup(losses, members, exhausted);
    if (group === undefined) break;
    const own = members.filter((member) => member.group === group);
    const facts = { step: `${boost + 1}/${rounds}`, group: group + 1 };
    const onProgress = (share: number, info: EventInfo): void =>
      stage.reached((boost + share) / rounds, { ...facts, ...info });
    const step = await boostGroup(parts, { clients: groups[group]!, group, own, boost, learningRate, onProgress });
    curves.push(step.curve);
    if (step.effect !== undefined) boosting.push(step.effect);
    if (step.member === undefined) exhausted.add(group);
    else {
      members.push(step.member);
      losses[group] = step.loss;
    }
    onProgress(1, lossFact(step.loss));
  }
  stage.end();
  return { members, curves, boosting };
}

/** The group with the highest loss that has a member and is not exhausted. */
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

interface BoostingJob {
  readonly clients: readonly string[];
  readonly group: number;
  /** The group's members so far. */
  readonly own: readonly EnsembleMember[];
  /** From 0, over all groups. */
  readonly boost: number;
  readonly learningRate: number;
  readonly onProgress: (share: number, info: EventInfo) => void;
}

/** Of a boosting step: the rest is the search for its length. */
const TRAINING_SHARE = 0.9;

/** Fits a new adapter to what the members leave, and finds how far to go along it. */
async function boostGroup(
  parts: TrainingParts,
  { clients, group, own, boost, learningRate, onProgress }: BoostingJob,
): Promise<{ member?: EnsembleMember; effect?: BoostingStep; curve: NamedCurve; loss: number }> {
  const count = own.filter((member) => member.kind === "boost").length;
  const name = `group-${group + 1}-boost-${count + 1}`;
  // Other initial values: with the same A the new adapter would be the old one trained on.
  const adapter = { ...parts.plan.adapter, initSeed: parts.plan.seed + 1 + boost };
  const trained: TrainedAdapter = await trainFederated(parts, {
    name,
    stage: "boost",
    methods: ["kindred"],
    book: "boost",
    clients,
    adapter,
    learningRate,
    offset: own.map((member) => ({ adapter: member.values, weight: member.step })),
    onProgress: (share, info) => onProgress(TRAINING_SHARE * share, info),
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
  const { results, charges } = await parts.cohort.ask({
    stage: "boost",
    key: `step/${name}`,
    clients,
    taskOf: () => task,
    onShare: (share) => onProgress(TRAINING_SHARE + (1 - TRAINING_SHARE) * share, lossFact(trained.validationLoss)),
  });
  parts.books.charge(["kindred"], "boost", charges);
  const scores = [...results.values()].map((result) => result.scores);
  if (scores.length === 0) return { curve, loss: trained.startLoss };
  const best = bestAlternative(scores);
  const loss = pooledLoss(scores.map((client) => client[best]!));
  const step = BOOSTING_STEPS[best] as number;
  const effect: BoostingStep = {
    name,
    group,
    step,
    clients: [...results].map(([client, { scores }]) => ({
      client,
      before: pooledLoss([scores[BOOSTING_STEPS.indexOf(0)]!]),
      after: pooledLoss([scores[best]!]),
    })),
  };
  if (step === 0) return { effect, curve, loss };
  return { member: { name, group, kind: "boost", values: trained.values, step }, effect, curve, loss };
}
