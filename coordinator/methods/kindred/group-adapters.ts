/** One adapter per group, by federated rounds within the group. */
import type { AdapterSpec } from "../../../shared/wire/types.js";
import { beginStage } from "../../events/events.js";
import { misfits } from "../../rounds/misfits.js";
import { trainFederated } from "../../rounds/train.js";
import type { TrainingParts } from "../../rounds/training-job.js";
import type { Cohort } from "../../run/cohort.js";
import { JointShare } from "../../run/joint-share.js";
import type { EnsembleMember, NamedCurve } from "../method.js";

export interface GroupAdapters {
  /** Of the groups whose training gave an adapter. */
  readonly members: readonly EnsembleMember[];
  /** Validation loss of each group, nats per scored token; infinity where no client validated. */
  readonly losses: readonly number[];
  readonly curves: readonly NamedCurve[];
}

/** The name of a training of these clients: a single client has its local adapter, all clients together the shared one. */
function trainingName(cohort: Cohort, clients: readonly string[], group: number): string {
  const [first] = clients;
  if (clients.length === 1 && first !== undefined) return `local-${cohort.indexOf(first)}`;
  return clients.length === cohort.names.length ? "shared" : `group-${group + 1}`;
}

export async function trainGroups(
  parts: TrainingParts,
  adapter: AdapterSpec,
  groups: readonly (readonly string[])[],
  learningRate: number,
): Promise<GroupAdapters> {
  const curves: NamedCurve[] = [];
  const members: EnsembleMember[] = [];
  const losses: number[] = [];
  const stage = beginStage(parts.events, "train groups", groups.length);
  const rowsOf = (clients: readonly string[]): number =>
    clients.reduce((sum, client) => sum + parts.cohort.info(client).rows.train, 0);
  const shares = new JointShare(new Map(groups.map((clients, group) => [String(group), rowsOf(clients)])));
  for (const [group, clients] of groups.entries()) {
    const { values, unit, curve, validationLoss } = await trainFederated(parts, {
      name: trainingName(parts.cohort, clients, group),
      stage: "train",
      methods: ["kindred"],
      book: "train",
      clients,
      adapter,
      learningRate,
      onProgress: (share, info) =>
        stage.reached(shares.set(String(group), share), { group: `${group + 1}/${groups.length}`, ...info }),
    });
    const name = `group-${group + 1}`;
    curves.push({ name, unit, points: curve });
    losses.push(validationLoss);
    if (values !== undefined) members.push({ name, group, kind: "group", values, step: 1 });
    stage.reached(shares.set(String(group), 1), { group: `${group + 1}/${groups.length}` });
  }
  stage.end();
  const wrong = await misfits(parts, adapter, members);
  for (const [{ group }, reason] of wrong) {
    for (const client of groups[group] ?? []) parts.cohort.fault(client, "train", reason);
  }
  return { members: members.filter((member) => !wrong.has(member)), losses, curves };
}
