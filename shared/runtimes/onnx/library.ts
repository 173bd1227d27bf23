/**
 * The only place that loads ONNX Runtime. From 1.30 on, the library writes a device id and a queue of events below the home folder, and
 * tries to send them to its maker, unless ORT_DISABLE_TELEMETRY is 1 in the process's own environment before it is loaded.
 */
import { isMainThread } from "node:worker_threads";
import { KindredError } from "../../base/errors.js";

export type { InferenceSession, Tensor } from "onnxruntime-node";

const SWITCH = "ORT_DISABLE_TELEMETRY";

/** The switches of `process.report` that the types of Node 20 lack. */
interface ReportSwitches {
  excludeNetwork?: boolean;
  excludeEnv?: boolean;
}

/**
 * The environment that C libraries read. A worker thread's `process.env` is a copy, and writing to it reaches no library; the report
 * asks the system. Takes 4 ms.
 */
export function systemEnvironment(): Readonly<Record<string, string | undefined>> {
  const report = process.report as typeof process.report & ReportSwitches;
  const { excludeNetwork, excludeEnv } = report;
  try {
    // With the network, the report would look up the names of connected peers.
    report.excludeNetwork = true;
    if (excludeEnv !== undefined) report.excludeEnv = false;
    return (report.getReport() as unknown as { environmentVariables: Record<string, string> }).environmentVariables;
  } finally {
    if (excludeNetwork !== undefined) report.excludeNetwork = excludeNetwork;
    if (excludeEnv !== undefined) report.excludeEnv = excludeEnv;
  }
}

/**
 * Switches the library's telemetry off for this process. Has an effect in the main thread, and in a worker thread that shares its
 * environment (SHARE_ENV).
 */
export function disableTelemetry(): void {
  process.env[SWITCH] = "1";
}

/**
 * Loads the library with its telemetry off.
 * @throws {KindredError} `unsupported` in a worker thread of a process whose environment does not have the switch
 */
export async function loadOnnxRuntime(): Promise<typeof import("onnxruntime-node")> {
  disableTelemetry();
  if (!isMainThread && systemEnvironment()[SWITCH] !== "1") {
    throw new KindredError(
      "unsupported",
      `ONNX Runtime's telemetry cannot be switched off from a worker thread; start the process with ${SWITCH}=1, or the worker thread with env: SHARE_ENV`,
    );
  }
  return import("onnxruntime-node");
}
