/** Options for the base model. */
import { type Command, Option } from "commander";
import { QUANTIZATIONS, type Quantization } from "../../shared/quantization/layout.js";

export interface ModelOptions {
  readonly model: string;
  readonly quantization: Quantization | "none";
}

export const modelOptions = (to: Command): Command =>
  to
    .requiredOption("--model <dir>", "folder of the base model, a GGUF file, or its id on the hub")
    .addOption(
      new Option("--quantization <kind>", "form of the base model's linears")
        .choices(["none", ...QUANTIZATIONS])
        .default("none"),
    );

/** The base model as a job takes it: paths are relative to the working directory. */
export async function modelOf({ model, quantization }: ModelOptions) {
  const { resolveModel } = await import("../../shared/config/config.js");
  return { model: resolveModel(model, process.cwd(), "--model"), modelName: model, quantization };
}
