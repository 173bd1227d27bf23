/**
 * What the estimate is calibrated by: real validation losses of every client under its own adapter and under the shared one. It knows
 * nothing of how they are used.
 */
import type { AdapterSpec, BlobRef } from "../../../shared/wire/types.js";
import type { Evaluate } from "../../../tasks/evaluate/message.js";
import type { RealLosses } from "../../estimation/calibration.js";
import { beginStage, type EventSink } from "../../events/events.js";
import type { Books } from "../../run/books.js";
import type { Cohort } from "../../run/cohort.js";
import type { LocalTrained, SharedTrained } from "../method.js";

export interface CalibrationTargets {
  readonly shared: SharedTrained;
  readonly local: LocalTrained;
}

/** Asks each client once. Clients that do not answer, or hold no validation rows, are missing. */
export async function realLosses(
  { cohort, books, events }: { readonly cohort: Cohort; readonly books: Books; readonly events: EventSink },
  adapter: AdapterSpec,
  { shared, local }: CalibrationTargets,
): Promise<RealLosses> {
  const membersOf = (client: string): BlobRef[] =>
    [local.values.get(client), shared.values].filter((ref) => ref !== undefined);
  const clients = cohort.names.filter((name) => membersOf(name).length > 0);
  const stage = beginStage(events, "calibrate", clients.length);
  const { results, charges } = await cohort.ask({
    stage: "calibrate",
    key: "calibrate",
    clients,
    weight: (rows) => rows.validation,
    onShare: (share, answered) => stage.answered(share, answered, clients.length),
    taskOf: (client): Evaluate => {
      const members = membersOf(client);
      return {
        kind: "evaluate",
        adapter,
        members,
        mixtures: members.map((_, at) => members.map((__, j) => (j === at ? 1 : 0))),
        split: "validation",
        examplesLimit: 0,
      };
    },
  });
  books.charge(["kindred"], "calibrate", charges);
  stage.end();
  const own = new Map<string, number>();
  const common = new Map<string, number>();
  for (const [client, { scores }] of results) {
    const losses = scores.map(({ nllSum, tokens, choiceRows, examples }) =>
      // As the estimate has it: choices per row, texts per token.
      choiceRows > 0 ? nllSum / examples : nllSum / tokens,
    );
    membersOf(client).forEach((ref, at) => {
      const loss = losses[at]!;
      // Rows that are all answered with certainty calibrate nothing, and neither do rows that are missing.
      if (loss > 0 && Number.isFinite(loss)) (ref === local.values.get(client) ? own : common).set(client, loss);
    });
  }
  return { own, common };
}
