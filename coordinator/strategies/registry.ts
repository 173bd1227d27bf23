/** From a configuration's settings to a strategy. A new kind is a file beside this one, a line here, and its options in shared/config/strategies.ts. */

import { KindredError } from "../../shared/base/errors.js";
import type { StrategySettings } from "../../shared/config/strategies.js";
import { fedadam } from "./fedadam.js";
import { fedavg } from "./fedavg.js";
import { fedexp } from "./fedexp.js";
import { fedprox } from "./fedprox.js";
import { fedyogi } from "./fedyogi.js";
import { krum } from "./krum.js";
import { median } from "./median.js";
import { normBounded } from "./norm-bounded.js";
import type { Strategy } from "./strategy.js";
import { trimmedMean } from "./trimmed-mean.js";

type Settings<K extends StrategySettings["kind"]> = Extract<StrategySettings, { kind: K }>;

const BUILT_IN: { readonly [K in Exclude<StrategySettings["kind"], "custom">]: (settings: Settings<K>) => Strategy } = {
  fedavg,
  fedprox,
  fedexp,
  fedadam,
  fedyogi,
  median,
  "trimmed-mean": trimmedMean,
  krum,
  "norm-bounded": normBounded,
};

/**
 * @param own strategies that the program brought, which `kind: custom` names
 * @throws {KindredError} `invalid_config` where none has the name
 */
export function strategyOf(settings: StrategySettings, own: readonly Strategy[] = []): Strategy {
  if (settings.kind !== "custom") return (BUILT_IN[settings.kind] as (given: StrategySettings) => Strategy)(settings);
  const found = own.find(({ name }) => name === settings.name);
  if (found !== undefined) return found;
  const known = own.length === 0 ? "this program brings none" : own.map(({ name }) => name).join(", ");
  throw new KindredError(
    "invalid_config",
    `training.strategy.name: no strategy has this name; expected one given to openRun (${known}), got ${JSON.stringify(settings.name)}`,
    { name: settings.name },
  );
}
