/**
 * The tensors of a bottleneck adapter: their names, which are AdapterHub's without the adapter's name, and a check that tensors are a
 * whole adapter. It knows no model and no file.
 */
import { type BottleneckSettings, bottleneckWidth } from "./settings.js";

/** The parts of a block that adapters follow, in their order. */
export const BOTTLENECK_SITES = ["attention", "output"] as const;
export type BottleneckSite = (typeof BOTTLENECK_SITES)[number];
/** Into the bottleneck, or out of it. */
export type BottleneckFactor = "down" | "up";

const FACTORS = { down: "adapter_down.0", up: "adapter_up" } as const;

/** "model.layers.0", "output", "up", "weight" -> "model.layers.0.output_adapters.adapter_up.weight" */
export function bottleneckName(
  block: string,
  site: BottleneckSite,
  factor: BottleneckFactor,
  what: "weight" | "bias",
): string {
  return `${block}.${site}_adapters.${FACTORS[factor]}.${what}`;
}

/** The parts of such a name; undefined for any other name. */
function partsOf(name: string) {
  const [, block, site, factor, what] =
    /^(.+)\.(attention|output)_adapters\.(adapter_down\.0|adapter_up)\.(weight|bias)$/s.exec(name) ?? [];
  if (block === undefined) return undefined;
  return { block, site: site as BottleneckSite, factor: factor === FACTORS.up ? "up" : "down", what } as const;
}

/** The sites of a kind's adapters in a block. */
export function sitesOf({ kind }: Pick<BottleneckSettings, "kind">): readonly BottleneckSite[] {
  return kind === "houlsby" ? BOTTLENECK_SITES : ["output"];
}

/** Whether a tensor is part of the down projection, which stays as drawn where the up projection alone is trained. */
export function isDownProjection(name: string): boolean {
  return partsOf(name)?.factor === "down";
}

/** The reason why tensors are not a whole adapter of these settings, on any model; undefined where they are. */
export function bottleneckError(
  shapes: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  settings: Pick<BottleneckSettings, "kind" | "reduction">,
): string | undefined {
  const sites = sitesOf(settings);
  const blocks = new Set<string>();
  let hidden: number | undefined;
  for (const [name, { shape }] of shapes) {
    const parts = partsOf(name);
    if (parts === undefined || !sites.includes(parts.site)) return `tensor ${name} is not part of the adapter`;
    blocks.add(parts.block);
    if (parts.factor === "up" && parts.what === "bias") hidden ??= shape[0];
  }
  if (hidden === undefined) return "no tensor is the bias of an up projection";
  const width = bottleneckWidth(hidden, settings.reduction);
  const wanted = { down: { weight: [width, hidden], bias: [width] }, up: { weight: [hidden, width], bias: [hidden] } };
  for (const block of blocks) {
    for (const site of sites) {
      for (const factor of ["down", "up"] as const) {
        for (const what of ["weight", "bias"] as const) {
          const name = bottleneckName(block, site, factor, what);
          const tensor = shapes.get(name);
          if (tensor === undefined) return `the tensor ${name} is missing`;
          if (JSON.stringify(tensor.shape) !== JSON.stringify(wanted[factor][what])) {
            return `tensor ${name} has shape [${tensor.shape.join(", ")}]; expected [${wanted[factor][what].join(", ")}]`;
          }
        }
      }
    }
  }
  return undefined;
}
