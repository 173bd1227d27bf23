/** The machine: system, memory, and the GPUs that its drivers report. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  readonly node: string;
  readonly processors: number;
  readonly memoryBytes: number;
  /** Names from drivers, or vendors; null on systems other than Linux, where GPUs are not looked for. */
  readonly gpus: readonly string[] | null;
  /** Whether NVIDIA's driver is loaded. */
  readonly nvidia: boolean;
}

/** PCI's numbers of vendors of GPUs. */
const VENDORS: Readonly<Record<string, string>> = { "0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel" };

/** This machine. */
export function describeMachine(): Machine {
  const { platform, arch } = process;
  return {
    platform,
    arch,
    node: process.versions.node,
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    gpus: platform === "linux" ? linuxGpus() : null,
    // /dev/dxg: the Windows driver in Linux on Windows (WSL).
    nvidia: ["/dev/nvidiactl", "/dev/dxg"].some((path) => existsSync(path)),
  };
}

function linuxGpus(): string[] {
  const named = below("/proc/driver/nvidia/gpus").flatMap((gpu) => {
    const model = /^Model:\s*(.+)$/m.exec(read(join(gpu, "information")))?.[1];
    return model === undefined ? [] : [model.trim()];
  });
  const others = below("/sys/class/drm")
    .filter((path) => /card\d+$/.test(path))
    .map((card) => VENDORS[read(join(card, "device", "vendor")).trim()])
    .filter((vendor) => vendor !== undefined && !(vendor === "NVIDIA" && named.length > 0))
    .map((vendor) => `${vendor} GPU`);
  return [...named, ...others];
}

/** Paths in a folder of the kernel; empty where the driver is missing. */
function below(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** A file of the kernel; empty where it is missing. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
