/**
 * `kindred doctor`: tests which runtimes work on this machine. Each takes the same training step in a process of its own, and its
 * numbers are compared with those of ONNX Runtime on the processor.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { manifest } from "../../shared/base/assets.js";
import type { JobContext } from "../../shared/base/command.js";
import { throwIfAborted } from "../../shared/base/errors.js";
import { CANDIDATES, type Candidate } from "../../shared/runtimes/choose.js";
import {
  hasCudaProvider,
  installedTfjs,
  isInstalled,
  onnxInstallation,
  TFJS_PACKAGES,
  tfjsInstallCommand,
} from "../../shared/runtimes/install/installed.js";
import { computeLibraries, type Library, librariesText } from "../../shared/runtimes/install/libraries.js";
import { addedRuntimes, type RuntimeStatus } from "../../shared/runtimes/install/runtimes.js";
import { describeMachine, type Machine } from "./machine.js";
import type { StepResult } from "./step.js";
import type { TrialAnswer } from "./trial.js";

/**
 * `wrong`: it computes other numbers. `absent`: a library, driver or device is missing. `broken`: it is installed and fails, ends its
 * process, or does not answer.
 */
export type State = "works" | "wrong" | "absent" | "broken";

export interface Finding {
  /** "onnx-cpu" */
  readonly name: string;
  readonly runtime: Candidate["runtime"];
  readonly device: Candidate["device"];
  readonly state: State;
  /** The reason why it does not work. */
  readonly why?: string;
  /** Advice for making it work. */
  readonly advice?: string;
  /** The command that installs it. */
  readonly command?: string;
  /** Error of the step's loss, relative to the reference; absent for the reference itself. */
  readonly lossError?: number;
  /** Error of the gradient: L2 norm of the difference, relative to the reference's norm. */
  readonly gradientError?: number;
  readonly stepMilliseconds?: number;
}

export interface Diagnosis {
  readonly machine: Machine;
  readonly versions: { readonly kindred: string; readonly onnxruntime: string };
  /** The runtime that the others are compared with; null where no runtime works. */
  readonly reference: string | null;
  readonly findings: readonly Finding[];
  /** Libraries that compute, installed or not. */
  readonly libraries: readonly Library[];
  /** Runtimes that `kindred runtime add` has installed. */
  readonly added: readonly RuntimeStatus[];
}

interface Reference {
  readonly name: string;
  readonly result: StepResult;
}

/** The slowest known runtime, WebGPU on a software device, takes 5 s. A driver that compiles at first use may take a minute. */
const TRIAL_MS = 120_000;
/**
 * Far above rounding (1e-6 on processors) and above products that GPUs round to 10 bits of mantissa by default (TF32: 5e-4 each), far
 * below the errors of a wrong kernel.
 */
const LOSS_TOLERANCE = 1e-3;
const GRADIENT_TOLERANCE = 1e-2;
/** Characters that are kept of a process's stderr. */
const MAX_STDERR = 2000;

/** Tests all runtimes. @param timeoutMs for each runtime */
export async function diagnose({ progress, signal, log }: JobContext, timeoutMs = TRIAL_MS): Promise<Diagnosis> {
  const machine = describeMachine();
  const stage = progress.stage("try", CANDIDATES.length);
  // The processor first: the others are compared with it.
  const order = [...CANDIDATES].sort((a, b) => Number(b.name === "onnx-cpu") - Number(a.name === "onnx-cpu"));
  let reference: Reference | undefined;
  const findings: Finding[] = [];
  for (const candidate of order) {
    throwIfAborted(signal);
    const answer = await testInProcess(candidate.name, timeoutMs, signal);
    throwIfAborted(signal);
    log.debug("tried", { runtime: candidate.name, outcome: answer.outcome });
    const { name, runtime, device } = candidate;
    if (answer.outcome === "computed") {
      reference ??= { name, result: answer.result };
      findings.push({ name, runtime, device, ...comparison(name, answer.result, reference) });
    } else {
      const state = answer.outcome === "absent" ? "absent" : "broken";
      findings.push({ name, runtime, device, state, why: answer.why, ...remedyOf(name, machine) });
    }
    stage.tick(1, { runtime: candidate.name });
  }
  stage.done();
  return {
    machine,
    versions: { kindred: manifest().version, onnxruntime: onnxInstallation().version },
    reference: reference?.name ?? null,
    findings,
    libraries: computeLibraries(),
    added: addedRuntimes(),
  };
}

/** Tests one candidate in a process of its own. Never throws: any end of the process is an answer. */
function testInProcess(name: string, timeoutMs: number, signal: AbortSignal): Promise<TrialAnswer> {
  return new Promise((done) => {
    const child = fork(fileURLToPath(new URL("./trial.js", import.meta.url)), [name], {
      serialization: "advanced", // the gradient is an array of floats
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      killSignal: "SIGKILL",
      timeout: timeoutMs,
      signal,
    });
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-MAX_STDERR);
    });
    let answer: TrialAnswer | undefined;
    child.on("message", (message) => {
      answer = message as TrialAnswer;
      child.kill("SIGKILL"); // a library that fails when the process ends has computed correctly before
    });
    child.on("error", (error) => done({ outcome: "failed", why: `its process did not start (${error.message})` }));
    child.on("close", (code, killed) => {
      const how =
        killed === "SIGKILL"
          ? `it did not answer within ${timeoutMs / 1000} s, or was killed`
          : `its process ended with ${killed ?? `code ${code}`}`;
      const last = stderr.trim().split("\n").at(-1) ?? "";
      if (answer === undefined) done({ outcome: "failed", why: last === "" ? how : `${how}: ${last}` });
      else if (answer.outcome === "computed") done(answer);
      else done({ ...answer, why: shortReason(answer.why, stderr) });
    });
  });
}

function comparison(
  name: string,
  { loss, gradient, milliseconds }: StepResult,
  reference: Reference,
): Omit<Finding, "name" | "runtime" | "device"> {
  if (reference.name === name) return { state: "works", stepMilliseconds: milliseconds };
  const lossError = Math.abs(loss / reference.result.loss - 1);
  const gradientError = relativeDistance(gradient, reference.result.gradient);
  const figures = { lossError, gradientError, stepMilliseconds: milliseconds };
  if (lossError <= LOSS_TOLERANCE && gradientError <= GRADIENT_TOLERANCE) return { state: "works", ...figures };
  return { state: "wrong", why: `its loss or gradient is not that of ${reference.name}`, ...figures };
}

/** |a - b| / |b| in the L2 norm; infinite where the lengths differ. */
function relativeDistance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  b.forEach((value, at) => {
    difference += ((a[at] as number) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

/**
 * One line of an engine's error. ONNX Runtime wraps the device's message into lines about its source, and reports on stderr alone why a
 * library cannot be loaded.
 */
function shortReason(message: string, stderr: string): string {
  const library = /Failed to load library .* with error: (.+)/.exec(stderr)?.[1];
  const device = /CUDA failure \d+: [^;]+/.exec(message)?.[0];
  return (library ?? device ?? message).trim().split("\n")[0]!.slice(0, 400);
}

/** The advice for a runtime that does not work. */
function remedyOf(name: string, { platform, arch, nvidia }: Machine): { advice?: string; command?: string } {
  const linux = platform === "linux";
  const noGpu = { advice: "it needs an NVIDIA GPU and NVIDIA's driver; neither was found on this machine" };
  switch (name) {
    case "onnx-cuda":
      if (!linux || arch !== "x64") return {};
      if (!nvidia) return noGpu;
      return hasCudaProvider()
        ? { advice: "its library is installed; CUDA 13 needs NVIDIA's driver 580 or newer" }
        : { command: "kindred runtime add cuda" };
    case "tfjs-node-gpu":
      if (!linux || arch !== "x64") return {};
      return nvidia ? installTfjs("gpu") : noGpu;
    case "tfjs-node":
      return linux ? installTfjs("cpu") : {};
    case "tfjs-wasm":
      return installTfjsBackend("@tensorflow/tfjs-backend-wasm");
    case "tfjs-cpu":
      return installTfjsBackend("@tensorflow/tfjs-backend-cpu");
    case "onnx-webgpu":
      return linux
        ? {
            advice:
              "it needs a GPU with a Vulkan driver (Debian, Ubuntu: apt install libvulkan1 and mesa-vulkan-drivers or the vendor's)",
          }
        : {};
    default:
      return {};
  }
}

/** The command that installs a backend; none where it is installed and fails. */
function installTfjsBackend(name: string): { command?: string } {
  return isInstalled(name) ? {} : { command: tfjsInstallCommand(name) };
}

function installTfjs(variant: "cpu" | "gpu"): { advice?: string; command?: string } {
  const command = `kindred runtime add tfjs${variant === "gpu" ? " --gpu" : ""}`;
  return installedTfjs()?.endsWith(`/${TFJS_PACKAGES[variant]}`)
    ? { advice: `it is installed and fails; run kindred runtime remove tfjs, then ${command}` }
    : { command };
}

/** Whether any runtime works. */
export function anythingWorks({ findings }: Diagnosis): boolean {
  return findings.some(({ state }) => state === "works");
}

/** The diagnosis as text. */
export function diagnosisText(diagnosis: Diagnosis): string {
  const { machine, versions, findings, reference } = diagnosis;
  const { platform, arch, node, processors, memoryBytes, gpus } = machine;
  const gpuText = gpus === null ? "" : `; GPUs: ${gpus.length === 0 ? "none found" : gpus.join(", ")}`;
  const error = (value: number | undefined): string => value?.toExponential(0) ?? "";
  const rows = findings.map((finding) => [
    finding.name,
    finding.state,
    finding.name === reference ? "reference" : error(finding.lossError),
    error(finding.gradientError),
    finding.stepMilliseconds === undefined ? "" : `${Math.max(1, Math.round(finding.stepMilliseconds))} ms`,
  ]);
  const table = [["", "", "loss error", "gradient error", "step"], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
  const notes = findings
    .filter(({ state }) => state !== "works")
    .map(({ name, why = "", advice, command }) => {
      const remedy = command === undefined ? advice : `to add it: ${command}`;
      return `${name}: ${why}${remedy === undefined ? "" : `\n  ${remedy}`}`;
    });
  return [
    `${platform} ${arch}, ${processors} processors, ${(memoryBytes / 2 ** 30).toFixed(1)} GiB of memory, node ${node}${gpuText}`,
    `kindred ${versions.kindred}, onnxruntime-node ${versions.onnxruntime}`,
    "",
    ...lines,
    ...(notes.length === 0 ? [] : ["", ...notes]),
    "",
    ...librariesText(diagnosis.libraries),
  ].join("\n");
}
