/**
 * Full-parameter training as an adapter: each weight is W0 + D, where D is trained and starts at zero. So the base model is the
 * adapter of zeros, averages and mixtures are averages and mixtures of the weights, and all code for adapters (training, scoring,
 * several at once, the wire) applies. Weight decay pulls towards the base model, not towards zero.
 */
import { FULL } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { noAdapter } from "../models/architecture.js";
import type { BaseModel } from "../models/base.js";
import { type AdapterLayout, placed } from "./adapter.js";

/**
 * The largest model. Its values are 1 GiB, which a client sends in each round: a quarter of the largest blob (shared/wire/limits.ts).
 * With AdamW's moments, the gradient and intermediate values, a training client holds ten times as much (`optimizerBytes`), beside
 * the base model.
 */
export const MAX_FULL_PARAMETERS = 2 ** 28;

/** The layout of all weights. @throws {KindredError} `unsupported` for a model that is too large, or whose weights are quantised */
export function fullLayout({ architecture, sources, parameters, folder }: BaseModel): AdapterLayout {
  const refuse = (reason: string): never => {
    throw new KindredError("unsupported", `${folder.path}: cannot train all weights: ${reason}`, { parameters });
  };
  if (parameters > MAX_FULL_PARAMETERS) {
    refuse(
      `the model has ${parameters} weights; at most ${MAX_FULL_PARAMETERS} are trained at once (ten copies of 4 bytes each ` +
        "at a client); leave full out of compare, or choose a smaller model",
    );
  }
  const [packed] = [...sources].filter(([, { form }]) => form !== undefined);
  if (packed !== undefined) {
    refuse(
      `${packed[0]} is quantised (${packed[1].form}), so small differences cannot be added; leave full out of compare, or choose a model that is not quantised`,
    );
  }
  const tensors = Array.from(architecture.weights, ([name, shape]) => ({ name, shape, factor: "second" as const }));
  return {
    spec: FULL,
    ...placed(tensors, false),
    dropoutWidth: 0,
    attach: (g, value) => ({ taps: [], adapt: { ...noAdapter(g), weight: (name, base) => g.add(base, value(name)) } }),
  };
}
