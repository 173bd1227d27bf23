/** Simulations from code: options and rows as values, the report as the result. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { RunEventListener } from "../coordinator/events/events.js";
import type { Strategy } from "../coordinator/strategies/strategy.js";
import {
  loadSimulationConfig,
  type SimulationOptions,
  type SimulationPlan,
  simulationPlan,
} from "../shared/config/config.js";
import { type ClientData, populationOf } from "../simulations/population/load.js";
import type { Report } from "../simulations/report/types.js";
import { runSimulation } from "../simulations/simulate.js";
import { type CallOptions, contextOf } from "./options.js";

/** The options of a configuration file, where the clients' rows may stand in place of the population's path. */
export type Simulation = Omit<SimulationOptions, "population"> & {
  readonly population: SimulationOptions["population"] | readonly ClientData[];
};

export interface SimulateOptions extends CallOptions {
  /** Folder of the run: its state, from which a stopped run is resumed, and the report's files. @default a temporary folder */
  readonly out?: string;
  /** Replace a finished run, or one of another configuration. @default false */
  readonly force?: boolean;
  /** Bytes that the process may take. @default no limit */
  readonly memory?: number;
  /** Strategies of your own, which `training.strategy: {kind: custom}` names. */
  readonly strategies?: readonly Strategy[];
  /** Told of everything that happens in the run. */
  readonly onEvent?: RunEventListener;
}

const isRows = (population: Simulation["population"]): population is readonly ClientData[] =>
  Array.isArray(population) &&
  population.every((entry) => typeof entry === "object" && entry !== null && "train" in entry);

/**
 * Runs the whole method on a population, on this machine: a coordinator and all clients in this process.
 *
 * @param config path of a YAML file, or its options as an object. Relative paths start from the file, or from the working directory
 * @returns what `report.json` holds
 * @throws {KindredError} `invalid_config`, `invalid_data`, `not_found` naming field and value; `already_exists` for a finished run
 *   in `out`, without `force`; `cancelled` after `signal`
 */
export async function simulate(config: string | Simulation, options: SimulateOptions = {}): Promise<Report> {
  const { out, force = false, memory, strategies, onEvent } = options;
  const folder = out === undefined ? await mkdtemp(join(tmpdir(), "kindred-")) : resolve(out);
  try {
    const { plan, population } = await planOf(config);
    return await runSimulation(plan, {
      ...contextOf(options),
      out: folder,
      force,
      ...(memory === undefined ? {} : { memory }),
      ...(population === undefined ? {} : { population }),
      ...(strategies === undefined ? {} : { strategies }),
      ...(onEvent === undefined ? {} : { onEvent }),
    });
  } finally {
    if (out === undefined) await rm(folder, { recursive: true, force: true });
  }
}

async function planOf(config: string | Simulation) {
  if (typeof config === "string") return { plan: await loadSimulationConfig(config) };
  const { population, ...rest } = config;
  if (!isRows(population)) return { plan: simulationPlan({ ...rest, population } as SimulationOptions) };
  const plan = simulationPlan({ ...rest, population: "rows" } as SimulationOptions);
  const { seed, format } = plan;
  // The plan stands in the report: it says where the rows came from, and does not repeat them.
  const given: SimulationPlan = { ...plan, population: "rows given in memory" };
  return { plan: given, population: populationOf(population, { seed, format }) };
}
