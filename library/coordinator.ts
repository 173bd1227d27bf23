/** A coordinator from code. */
import type { RunningCoordinator } from "../coordinator/coordinator.js";
import { startCoordinator as start } from "../coordinator/coordinator.js";
import type { RunEventListener } from "../coordinator/events/events.js";
import type { Strategy } from "../coordinator/strategies/strategy.js";
import { type CoordinatorOptions, coordinatorPlan, loadCoordinatorConfig } from "../shared/config/config.js";
import type { SecurityOptions } from "../shared/wire/security.js";
import { type CallOptions, contextOf } from "./options.js";

export interface StartCoordinatorOptions extends CallOptions {
  /** HOST:PORT; port 0 takes a free one. @default "127.0.0.1:0" */
  readonly listen?: string;
  /** Folder or URL of the state, from which a stopped run is resumed. @default "memory:", which ends with the process */
  readonly state?: string;
  /** TLS; needed off the loopback. */
  readonly security?: SecurityOptions;
  /** Strategies of your own, which `training.strategy: {kind: custom}` names. */
  readonly strategies?: readonly Strategy[];
  /** Told of everything that happens in the run. */
  readonly onEvent?: RunEventListener;
}

/**
 * Serves a federation until its ensemble is published, or takes up the one in the state.
 *
 * @param config path of a YAML file, or its options as an object
 * @returns once clients can enrol; `result` resolves when the run is over
 * @throws {KindredError} `invalid_config`, `insecure`, `invalid_option` (address, TLS files, state)
 */
export async function startCoordinator(
  config: string | CoordinatorOptions,
  options: StartCoordinatorOptions = {},
): Promise<RunningCoordinator> {
  const { listen = "127.0.0.1:0", state = "memory:", security, strategies, onEvent } = options;
  const plan = typeof config === "string" ? await loadCoordinatorConfig(config) : coordinatorPlan(config);
  const job = {
    listen,
    state,
    ...(security === undefined ? {} : { security }),
    ...(strategies === undefined ? {} : { strategies }),
    ...(onEvent === undefined ? {} : { onEvent }),
  };
  return await start(plan, job, contextOf(options));
}
