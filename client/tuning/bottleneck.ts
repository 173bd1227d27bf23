/**
 * Bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2020): f(x) = up(act(down(x))) after parts of every block. With h the
 * output of a part and r the hidden states before it, a Houlsby adapter gives r + h + f(h), a Pfeiffer adapter r + h + f(r + h), as
 * in the `adapters` library for models with LayerNorms before the parts (its Adapter.pre_forward, with original_ln_before false and
 * true).
 */
import {
  type BottleneckFactor,
  type BottleneckSite,
  bottleneckName,
  sitesOf,
} from "../../shared/adapters/bottleneck.js";
import { type BottleneckSettings, bottleneckWidth } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { type Architecture, type BlockPart, noAdapter } from "../models/architecture.js";
import { ACTIVATIONS } from "../models/layers.js";
import { type AdapterLayout, type Factor, placed, type Tap } from "./adapter.js";

const SITES: Readonly<Record<BlockPart, BottleneckSite>> = { attention: "attention", feedForward: "output" };

/** The layout of a bottleneck adapter. @throws {KindredError} `invalid_config` for a reduction to no dimension, or an unknown activation */
export function bottleneckLayout({ hidden, blocks }: Architecture, spec: BottleneckSettings): AdapterLayout {
  const width = bottleneckWidth(hidden, spec.reduction);
  if (!(spec.reduction >= 1) || width < 1) {
    throw new KindredError(
      "invalid_config",
      `adapter.reduction is ${spec.reduction}; expected a number from 1 to ${hidden}, the hidden size of this model`,
    );
  }
  const activation = ACTIVATIONS.get(spec.activation);
  if (activation === undefined) {
    throw new KindredError(
      "invalid_config",
      `adapter.activation is ${JSON.stringify(spec.activation)}; expected one of ${[...ACTIVATIONS.keys()].join(", ")}`,
    );
  }
  const sites = sitesOf(spec);
  const all = (way: BottleneckFactor, factor: Factor, [out, from]: readonly [number, number]) =>
    blocks.flatMap((block) =>
      sites.flatMap((site) => [
        { name: bottleneckName(block, site, way, "weight"), shape: [out, from], factor },
        { name: bottleneckName(block, site, way, "bias"), shape: [out], factor },
      ]),
    );
  const tensors = [...all("down", "first", [width, hidden]), ...all("up", "second", [hidden, width])];
  return {
    spec,
    ...placed(tensors, spec.freezeA),
    dropoutWidth: hidden,
    attach: (g, value, { mask, fresh }) => {
      const taps: Tap[] = [];
      return {
        taps,
        adapt: {
          ...noAdapter(g),
          join: (block, part, before, given) => {
            const sum = g.add(before, given);
            const site = SITES[part];
            if (!sites.includes(site)) return sum;
            const name = (way: BottleneckFactor, what: "weight" | "bias"): string =>
              bottleneckName(block, site, way, what);
            const x = spec.kind === "pfeiffer" ? sum : given;
            const product = g.matmul(x, value(name("down", "weight")), { transB: true });
            const input = activation(g, g.add(product, value(name("down", "bias"))));
            const [weight, bias] = [name("up", "weight"), name("up", "bias")];
            let output = sum;
            if (!fresh) {
              const up = g.add(g.matmul(input, value(weight), { transB: true }), value(bias));
              output = g.add(sum, mask === undefined ? up : g.mul(up, mask));
            }
            taps.push({ output, input, weight, bias });
            return output;
          },
        },
      };
    },
  };
}
