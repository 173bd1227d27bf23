/**
 * Full-parameter training as an adapter: each weight is W0 + D, with D trained and zero when fresh. So the base model is the
 * adapter whose values are zero, averages and mixtures are those of the weights, and whatever holds for adapters (training,
 * scoring, several at once, the wire) holds here. Weight decay draws towards the base, not towards zero.
 */
import { FULL } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { noAdapter } from "../models/architecture.js";
import type { BaseModel } from "../models/base.js";
import { type AdapterLayout, placed } from "./adapter.js";

/**
 * The largest model. Its values are 1 GiB: what a client sends each round, and a quarter of the largest blob
 * (shared/wire/limits.ts). With AdamW's moments, the gradient and what is computed on the way a client at work holds ten times
 * as much (`optimizerBytes`), beside the base.
 */
export const MAX_FULL_PARAMETERS = 2 ** 28;

/** @throws {KindredError} `unsupported` for a model that is too large, or whose weights are in few bits */
export function fullLayout({ architecture, sources, parameters, folder }: BaseModel): AdapterLayout {
  const refuse = (reason: string): never => {
    throw new KindredError("unsupported", `${folder.path}: cannot train all weights: ${reason}`, { parameters });
  };
  if (parameters > MAX_FULL_PARAMETERS) {
    refuse(
      `the model has ${parameters} of them, and at most ${MAX_FULL_PARAMETERS} are trained at once (ten copies of 4 bytes each ` +
        "at a client); leave full out of compare, or take a smaller model",
    );
  }
  const [packed] = [...sources].filter(([, { form }]) => form !== undefined);
  if (packed !== undefined) {
    refuse(
      `${packed[0]} is in few bits (${packed[1].form}), to which small differences cannot be added; leave full out of compare, or take the model unquantised`,
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
