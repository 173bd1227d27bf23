/** A simulation's file and folder, for the commands that run it in whole or in part. */
import { resolve } from "node:path";
import type { ForceOption } from "./general.js";
import { type FormatOptions, type Output, warnOfFormats } from "./rows.js";
import { type RuntimeOptions, runtimeOf } from "./runtime.js";

export interface SimulationOptions extends RuntimeOptions, FormatOptions, ForceOption {
  readonly out: string;
}

/** The plan of the file, on the runtime that the options choose; the folder of its results; the bound on memory. */
export async function simulationOf(config: string, options: SimulationOptions & Output) {
  const { loadSimulationConfig } = await import("../../shared/config/config.js");
  const read = await loadSimulationConfig(config, options);
  const listed = typeof read.population === "string" ? [] : read.population;
  const formats = [read, ...listed].map(({ format }) => format);
  warnOfFormats(formats, options);
  const { memory, ...runtime } = runtimeOf(options, read.runtime);
  const place = {
    out: resolve(options.out),
    force: options.force === true,
    ...(memory === undefined ? {} : { memory }),
  };
  return { plan: { ...read, runtime }, place };
}
