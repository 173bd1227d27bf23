/**
 * What the estimate is calibrated by: real validation losses of every client under its own adapter and under the one for all. It
 * knows nothing of how they are used.
 */
import type { BlobRef } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import type { RealLosses } from "../estimation/calibration.js";
import type { PipelineContext } from "./context.js";

export interface CalibrationTargets {
  /** One adapter for all; absent where its training gave none. */
  readonly shared: BlobRef | undefined;
  /** Each client's own. */
  readonly local: ReadonlyMap<string, BlobRef>;
}

/** One task a client. Who does not answer, or holds no validation rows, is missing. */
export async function realLosses(ctx: PipelineContext, { shared, local }: CalibrationTargets): Promise<RealLosses> {
  const names = ctx.clients.map(({ name }) => name).filter((name) => shared !== undefined || local.has(name));
  const membersOf = (client: string): BlobRef[] => [local.get(client), shared].filter((ref) => ref !== undefined);
  const results = await ctx.ask("calibrate", ["kindred"], "calibrate", names, (client): Evaluate => {
    const members = membersOf(client);
    return {
      kind: "evaluate",
      adapter: ctx.adapterSpec(),
      members,
      mixtures: members.map((_, at) => members.map((__, j) => (j === at ? 1 : 0))),
      split: "validation",
      examplesLimit: 0,
    };
  });
  const own = new Map<string, number>();
  const common = new Map<string, number>();
  for (const [client, { scores }] of results) {
    const losses = scores.map(({ nllSum, tokens, choiceRows, examples }) =>
      // As the estimate has it: choices by the row, texts by the token.
      choiceRows > 0 ? nllSum / examples : nllSum / tokens,
    );
    membersOf(client).forEach((ref, at) => {
      const loss = losses[at]!;
      // Rows that are all answered with certainty, or no rows, calibrate nothing.
      if (loss > 0 && Number.isFinite(loss)) (ref === local.get(client) ? own : common).set(client, loss);
    });
  }
  return { own, common };
}
