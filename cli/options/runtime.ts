/** Options for the runtime that executes graphs. */
import { type Command, Option } from "commander";
import {
  DEFAULT_RUNTIME,
  DEVICES,
  type Device,
  RUNTIME_KINDS,
  type RuntimeChoice,
  type RuntimeKind,
} from "../../shared/runtimes/types.js";
import { integer, size } from "./values.js";

export interface RuntimeOptions {
  readonly runtime?: RuntimeKind;
  readonly device?: Device;
  readonly threads?: number;
  readonly memory?: number;
}

const GROUP = "Runtime:";

/** @param fallback what holds where an option is not given */
export const engineOptions = (to: Command, fallback = "auto"): Command => {
  const options = [
    new Option("--runtime <name>", "library that executes the graphs").choices(RUNTIME_KINDS),
    new Option("--device <name>", "device that computes").choices(DEVICES),
    new Option("--threads <n>", "threads of a matrix product").argParser(integer(1)),
  ];
  for (const option of options) to.addOption(option.default(undefined, fallback).helpGroup(GROUP));
  return to;
};

/** With a bound on the memory of the process. */
export const runtimeOptions = (to: Command, fallback?: string): Command =>
  engineOptions(to, fallback).addOption(
    new Option("--memory <size>", "most memory of the process, such as 8GiB; batches are cut to fit")
      .argParser(size("--memory"))
      .default(undefined, "no limit")
      .helpGroup(GROUP),
  );

/** The runtime as the options choose it. @param otherwise what holds where an option is not given */
export const runtimeOf = (
  { runtime, device, threads, memory }: RuntimeOptions,
  otherwise: RuntimeChoice = DEFAULT_RUNTIME,
): RuntimeChoice => ({
  kind: runtime ?? otherwise.kind,
  device: device ?? otherwise.device,
  threads: threads ?? otherwise.threads,
  ...(memory === undefined ? {} : { memory }),
});
