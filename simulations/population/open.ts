/** Opens a plan's clients and base model, and encodes the clients' rows as tokens. */
import { createHash } from "node:crypto";
import { encodeClient } from "../../client/data/encode.js";
import type { EncodedDataset, Split } from "../../client/data/types.js";
import { type OpenedModel, openModel } from "../../client/models/open.js";
import { encodingOf } from "../../client/tasks/encoding.js";
import type { JobContext } from "../../shared/base/command.js";
import type { Logger } from "../../shared/base/log.js";
import type { SimulationPlan } from "../../shared/config/config.js";
import { loadPopulation, type Population } from "./load.js";

export interface OpenedPopulation {
  readonly population: Population;
  readonly model: OpenedModel;
}

/** Opens clients and model. @throws {KindredError} what reading the rows and the model throws */
export async function openPopulation(
  plan: SimulationPlan,
  context: JobContext & { readonly population?: Population },
): Promise<OpenedPopulation> {
  const { seed, format } = plan;
  const population = context.population ?? (await loadPopulation(plan.population, { seed, format }));
  const model = await openModel(plan.model, { ...context, quantization: plan.base.quantization });
  return { population, model };
}

/**
 * Tokens of all clients, in the population's order. Encoded before any client works: a row that cannot be encoded is a mistake that the
 * user should see, whereas a client that fails is only left out.
 */
export async function encodePopulation(
  plan: SimulationPlan,
  { population, model }: OpenedPopulation,
  log: Logger,
): Promise<EncodedDataset[]> {
  const encoding = encodingOf(model, plan, log);
  const datasets: EncodedDataset[] = [];
  for (const rows of population.clients) datasets.push(await encodeClient(rows, model.tokenizer, encoding));
  return datasets;
}

/** SHA-256 of a client's rows as tokens. */
export function rowsHash(dataset: EncodedDataset, splits: readonly Split[]): string {
  const hash = createHash("sha256");
  for (const split of splits) {
    hash.update(`${dataset[split].length}\n`);
    for (const { tokens, scored, choices } of dataset[split])
      hash.update(JSON.stringify([[...tokens], [...scored], choices ?? null]));
  }
  return hash.digest("hex");
}
