/** LoRA (Hu et al. 2021): y = W x + s B A x on chosen linears, with the scale s of `scaleOf`. */
import { scaleOf } from "../../shared/adapters/scale.js";
import type { LoraSettings } from "../../shared/adapters/settings.js";
import { isTarget } from "../../shared/adapters/targets.js";
import { KindredError } from "../../shared/base/errors.js";
import type { Value } from "../../shared/graph/graph.js";
import { type Architecture, type Linear, moduleNames, noAdapter } from "../models/architecture.js";
import { type AdapterLayout, placed, type Tap } from "./adapter.js";

/** LoRA settings; rank-stabilised scaling is off by default. */
export type LoraSpec = Omit<LoraSettings, "kind" | "rslora"> & Partial<Pick<LoraSettings, "rslora">>;

export type AdaptedLinear = Pick<Linear, "name" | "out" | "in" | "inputGroup">;

export interface LoraLayout extends AdapterLayout {
  readonly spec: LoraSettings;
  readonly linears: readonly AdaptedLinear[];
}

const tensorName = (linear: string, factor: "A" | "B"): string => `${linear}.lora_${factor}.weight`;

/** The layout of a LoRA adapter. @throws {KindredError} `invalid_config` for a module that the model does not have, or a rank or alpha out of range */
export function loraLayout(architecture: Architecture, spec: LoraSpec): LoraLayout {
  const modules = spec.modules.length ? spec.modules : architecture.attentionModules;
  for (const module of modules) {
    if (!architecture.linears.some(({ name }) => isTarget(name, [module]))) {
      throw new KindredError(
        "invalid_config",
        `adapter.modules: ${JSON.stringify(module)} is not a linear of this model; choose from ${moduleNames(architecture).join(", ")}`,
      );
    }
  }
  if (!Number.isInteger(spec.rank) || spec.rank < 1) {
    throw new KindredError("invalid_config", `adapter.rank is ${spec.rank}; expected a positive integer`);
  }
  if (!(spec.alpha > 0))
    throw new KindredError("invalid_config", `adapter.alpha is ${spec.alpha}; expected a positive number`);
  const linears = architecture.linears.filter(({ name }) => isTarget(name, modules));
  const { rank, rslora = false } = spec;
  const scale = scaleOf({ ...spec, useRslora: rslora });
  const tensors = [
    ...linears.map((l) => ({ name: tensorName(l.name, "A"), shape: [rank, l.in], factor: "first" as const })),
    ...linears.map((l) => ({ name: tensorName(l.name, "B"), shape: [l.out, rank], factor: "second" as const })),
  ];
  return {
    spec: { kind: "lora", rslora, ...spec },
    linears,
    ...placed(tensors, spec.freezeA),
    dropoutWidth: Math.max(...linears.map((linear) => linear.in)),
    attach: (g, value, { mask, fresh }) => {
      const adapted = new Map(linears.map((linear) => [linear.name, linear]));
      const downs = new Map<string, Value>();
      /** Linears of one input have one product with A: the time of a narrow product is mostly the call's (4 % of a step). */
      const downOf = (linear: AdaptedLinear, x: Value): Value => {
        if (!downs.has(linear.name)) {
          const readers = linears.filter(({ inputGroup }) => inputGroup === linear.inputGroup);
          const input = mask === undefined ? x : g.mul(x, g.slice(mask, 1, 0, linear.in));
          const all = value(tensorName(readers[0]!.name, "A"), readers.length);
          const down = g.matmul(input, all, { transB: true, scale });
          for (const [at, { name }] of readers.entries()) downs.set(name, g.slice(down, 1, at * rank, rank));
        }
        return downs.get(linear.name) as Value;
      };
      const taps: Tap[] = [];
      return {
        taps,
        adapt: {
          ...noAdapter(g),
          linear: (name, x, base) => {
            const linear = adapted.get(name);
            if (linear === undefined) return base();
            const input = downOf(linear, x);
            const weight = tensorName(name, "B");
            const output = fresh ? base() : g.add(base(), g.matmul(input, value(weight), { transB: true }));
            taps.push({ output, input, weight });
            return output;
          },
        },
      };
    },
  };
}
