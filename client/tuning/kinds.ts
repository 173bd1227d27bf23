/** The kinds of adapters. No other code asks for an adapter's kind to build its layout. */
import { isBottleneck, type TunedSettings } from "../../shared/adapters/settings.js";
import type { Architecture } from "../models/architecture.js";
import type { BaseModel } from "../models/base.js";
import type { AdapterLayout } from "./adapter.js";
import { bottleneckLayout } from "./bottleneck.js";
import { fullLayout } from "./full.js";
import { loraLayout } from "./lora.js";

/** The layout of an adapter. @throws {KindredError} `invalid_config` naming the setting that does not fit the model; as `fullLayout` */
export function adapterLayout(model: BaseModel, settings: TunedSettings): AdapterLayout {
  if (settings.kind === "full") return fullLayout(model);
  const { architecture } = model;
  return isBottleneck(settings) ? bottleneckLayout(architecture, settings) : loraLayout(architecture, settings);
}

/** The smallest layout, for work on the base model alone. */
export function smallestLayout(architecture: Architecture): AdapterLayout {
  return loraLayout(architecture, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
}
