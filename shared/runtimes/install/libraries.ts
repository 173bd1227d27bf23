/** Which libraries that compute are on this machine, and the one command that adds each that is missing. Loads none of them. */
import {
  hasCudaProvider,
  installedTfjs,
  isInstalled,
  onnxInstallation,
  tfjsInstallCommand,
  tfjsVersion,
} from "./installed.js";

export interface Library {
  /** "ONNX Runtime" */
  readonly name: string;
  /** Whether its files are there. It may fail all the same: a driver or a device may be missing. */
  readonly installed: boolean;
  readonly version?: string;
  /** The command that adds it; absent where it is installed, and where this system has none. */
  readonly command?: string;
}

/** What of the machine decides. */
export interface Installed {
  /** "linux-x64" */
  readonly system: string;
  readonly onnx: string | undefined;
  readonly cuda: boolean;
  readonly tfjs: string | undefined;
  readonly tensorflow: boolean;
}

/** The libraries that there are for this system, those of every installation first. */
export function computeLibraries(found: Installed = whatIsInstalled()): Library[] {
  const { system, onnx, cuda, tfjs, tensorflow } = found;
  const library = (name: string, version: string | undefined, installed: boolean, command?: string): Library => ({
    name,
    installed,
    ...(version === undefined ? {} : { version }),
    ...(installed || command === undefined ? {} : { command }),
  });
  const wasm = tfjsInstallCommand("@tensorflow/tfjs-backend-wasm");
  return [
    library("ONNX Runtime", onnx, onnx !== undefined), // a dependency: where it is not there, it has no build for this system
    ...(system === "linux-x64"
      ? [library("ONNX Runtime's CUDA provider", undefined, cuda, "kindred runtime add cuda")]
      : []),
    library("TensorFlow.js (wasm)", tfjs, tfjs !== undefined, wasm),
    ...(system.startsWith("linux-")
      ? [library("TensorFlow for tfjs", undefined, tensorflow, "kindred runtime add tfjs")]
      : []),
  ];
}

function whatIsInstalled(): Installed {
  const { version, binding } = onnxInstallation();
  return {
    system: `${process.platform}-${process.arch}`,
    onnx: binding === undefined ? undefined : version,
    cuda: hasCudaProvider(),
    tfjs: isInstalled("@tensorflow/tfjs-backend-wasm") ? tfjsVersion(false) : undefined,
    tensorflow: installedTfjs() !== undefined,
  };
}

/** Lines for people, one per library. */
export function librariesText(libraries: readonly Library[]): string[] {
  const width = Math.max(...libraries.map(({ name }) => name.length));
  return libraries.map(({ name, installed, version, command }) => {
    const there = `installed${version === undefined ? "" : ` (${version})`}`;
    const missing = command === undefined ? "not available for this system" : `not installed; to add it: ${command}`;
    return `${name.padEnd(width)}  ${installed ? there : missing}`;
  });
}
