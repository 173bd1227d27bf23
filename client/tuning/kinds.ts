/** The kinds of adapters there are: the one place that asks which it is. */
import { type AdapterSettings, isBottleneck } from "../../shared/adapters/settings.js";
import type { Architecture } from "../models/architecture.js";
import type { AdapterLayout } from "./adapter.js";
import { bottleneckLayout } from "./bottleneck.js";
import { loraLayout } from "./lora.js";

/** @throws {KindredError} `invalid_config` naming the setting that does not fit the model */
export function adapterLayout(architecture: Architecture, settings: AdapterSettings): AdapterLayout {
  return isBottleneck(settings) ? bottleneckLayout(architecture, settings) : loraLayout(architecture, settings);
}

/** A layout for work on the base model alone: the smallest there is. */
export function smallestLayout(architecture: Architecture): AdapterLayout {
  return loraLayout(architecture, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
}
