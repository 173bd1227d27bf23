/**
 * Kindred as a library. Nothing here writes to the console or ends the process.
 *
 * ```js
 * import { DEMO_MODEL, simulate } from "kindred";
 *
 * // Two clients whose rows agree, and one whose rows do not.
 * const rows = (desk) =>
 *   Array.from({ length: 12 }, (_, i) => ({
 *     prompt: `Ticket: the lamp in room ${i} is broken. Desk:`,
 *     completion: desk,
 *     choices: [" north", " south"],
 *   }));
 * const report = await simulate({
 *   model: DEMO_MODEL,
 *   population: [
 *     { client: "harbour", train: rows(" north") },
 *     { client: "market", train: rows(" north") },
 *     { client: "castle", train: rows(" south") },
 *   ],
 *   training: { epochs: 4, learningRate: 0.03 },
 *   compare: ["base"],
 * });
 * console.log(report.groups, report.methods.kindred.mean.accuracy);
 * ```
 *
 * The examples of docs/examples show a coordinator and its clients in one process, a strategy, a reader and a model family of your own.
 */
export type { ClientEnd } from "./client/client.js";
export { defineReader, type RawRow, type Reader, type ReadLimits } from "./client/data/readers.js";
export * from "./client/models/building-blocks.js";
export type { RunningCoordinator } from "./coordinator/coordinator.js";
export {
  EventLog,
  type EventSink,
  type LoggedEvent,
  type RunEvent,
  type RunEventListener,
  readEvents,
} from "./coordinator/events/events.js";
export { openRun, type Run, type RunOptions, type RunOutcome } from "./coordinator/open-run.js";
export type { ClientInfo, ClientPool } from "./coordinator/roster/pool.js";
export { type CoordinatorServer, type ServerOptions, serveCoordinator } from "./coordinator/server/server.js";
export { openState, readState } from "./coordinator/storage/open.js";
export type { State, StateReader } from "./coordinator/storage/types.js";
export { type CoordinateRule, defineStrategy } from "./coordinator/strategies/define.js";
export type {
  Aggregator,
  Arrival,
  Rejection,
  Round,
  RoundClient,
  RoundOutcome,
  Strategy,
  StrategyState,
  Update,
  Work,
} from "./coordinator/strategies/strategy.js";
export type { TensorShapes, TensorSink, TensorSource } from "./coordinator/strategies/tensors.js";
export { type RunningClient, type StartClientOptions, startClient } from "./library/client.js";
export { type StartCoordinatorOptions, startCoordinator } from "./library/coordinator.js";
export type { CallOptions } from "./library/options.js";
export { type SimulateOptions, type Simulation, simulate } from "./library/simulate.js";
export { encodeSafetensors, writeSafetensors } from "./shared/adapters/safetensors.js";
export { ERROR_CODES, type ErrorCode, KindredError } from "./shared/base/errors.js";
export { type Line, readLines } from "./shared/base/lines.js";
export { type LogFields, type Logger, silentLog } from "./shared/base/log.js";
export type { Progress, Stage, StageInfo } from "./shared/base/progress.js";
export type { FloatTensor, NamedTensors } from "./shared/base/tensors.js";
export {
  type CoordinatorOptions,
  type CoordinatorPlan,
  coordinatorPlan,
  type RunPlan,
  type SimulationOptions,
  type SimulationPlan,
  simulationPlan,
} from "./shared/config/config.js";
export type { RowFormat } from "./shared/config/format.js";
export { openRuntime } from "./shared/runtimes/choose.js";
export { DEFAULT_RUNTIME, type Runtime, type RuntimeChoice } from "./shared/runtimes/types.js";
export type { SecurityOptions } from "./shared/wire/security.js";
export { DEMO_MODEL } from "./simulations/demo/demo-model.js";
export type { ClientData, PopulationEntry } from "./simulations/population/load.js";
export type { Report } from "./simulations/report/types.js";
