/**
 * The modules of a model that a LoRA configuration of PEFT adapts, with rank and alpha. The rules are PEFT 0.21's:
 * `check_target_module_exists` in peft/tuners/tuners_utils.py, `get_pattern_key` in peft/utils/other.py.
 */
import { type Found, matchPatterns } from "./patterns.js";

/** Whether a module is a target, by PEFT's rule: its whole name, or the end of its name after a dot. */
export function isTarget(module: string, targets: readonly string[] | "all-linear"): boolean {
  return targets === "all-linear" || targets.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Names as in `isTarget`, or a pattern of the whole name. */
export type Names = readonly string[] | { readonly pattern: string };

export interface Targets {
  readonly modules: Names | "all-linear";
  readonly exclude: Names;
  /** Numbers of the layers; empty: all. Modules that `modules` names in full are adapted in all layers. */
  readonly layers: readonly number[];
  /** Patterns of the part of a name before the layer's number: "layers". Empty: the number is the first one between dots. */
  readonly layerPatterns: readonly string[];
  /** Rank of modules that no pattern in `ranks` matches; `alpha` likewise. */
  readonly rank: number;
  readonly alpha: number;
  /** By patterns of a module's name or of its end after a dot. The first matching pattern decides. */
  readonly ranks: ReadonlyMap<string, number>;
  readonly alphas: ReadonlyMap<string, number>;
}

export interface Target {
  readonly rank: number;
  readonly alpha: number;
}

/**
 * The adapted modules among a model's modules.
 * @param where the configuration's file, for errors
 * @throws {KindredError} `unsupported` for a pattern that cannot be evaluated, naming its field
 */
export function chooseTargets(targets: Targets, modules: readonly string[], where: string): Map<string, Target> {
  const field = (name: string): string => `${where}: ${name}`;
  const chosen = named(targets.modules, modules, field("target_modules"));
  const excluded = named(targets.exclude, modules, field("exclude_modules"));
  const inLayers = layerTest(targets, modules, field("layers_pattern"));
  const ranks = valuesOf(targets.ranks, targets.rank, modules, field("rank_pattern"));
  const alphas = valuesOf(targets.alphas, targets.alpha, modules, field("alpha_pattern"));
  const found = new Map<string, Target>();
  modules.forEach((module, at) => {
    if (!chosen[at] || excluded[at] || !inLayers[at]) return;
    found.set(module, { rank: ranks[at] as number, alpha: alphas[at] as number });
  });
  return found;
}

function named(names: Names | "all-linear", modules: readonly string[], what: string): boolean[] {
  if (names === "all-linear" || !("pattern" in names)) return modules.map((module) => isTarget(module, names));
  const [found = []] = matchPatterns([names.pattern], modules, (pattern) => `(?:${pattern})$`, what);
  return found.map((each) => each !== null);
}

function layerTest({ modules: targets, layers, layerPatterns }: Targets, modules: readonly string[], what: string) {
  if (layers.length === 0) return modules.map(() => true);
  const found =
    layerPatterns.length === 0
      ? matchPatterns([".*?\\.[^.]*\\.(?<idx>\\d+)\\."], modules, (pattern) => pattern, what)
      : matchPatterns(layerPatterns, modules, (pattern) => `(?:^|.*?\\.)${pattern}\\.(?<idx>\\d+)\\.`, what);
  return modules.map((module, at) => {
    if (Array.isArray(targets) && targets.includes(module)) return true;
    const layer = firstOf(found, at);
    return layer !== undefined && layer.found !== "" && layers.includes(Number(layer.found));
  });
}

function valuesOf(
  values: ReadonlyMap<string, number>,
  otherwise: number,
  modules: readonly string[],
  what: string,
): number[] {
  const found = matchPatterns([...values.keys()], modules, (pattern) => `(.*\\.)?(${pattern})$`, what);
  const all = [...values.values()];
  return modules.map((_, at) => {
    const first = firstOf(found, at);
    return first === undefined ? otherwise : (all[first.pattern] as number);
  });
}

/** The first pattern that matched a name. */
function firstOf(rows: readonly (readonly Found[])[], at: number): { pattern: number; found: string } | undefined {
  const pattern = rows.findIndex((row) => row[at] !== null);
  return pattern < 0 ? undefined : { pattern, found: rows[pattern]![at] as string };
}
