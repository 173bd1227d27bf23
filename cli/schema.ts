/** `kindred schema [simulate | coordinator]` */
import type { Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { example } from "./options/help.js";
import { type OutputOptions, printResult } from "./process.js";

export function schema(command: Command): Command {
  command
    .argument("[kind]", "simulate (the default) or coordinator")
    .action(async (kind: string | undefined, options: OutputOptions) => {
      const { CONFIG_KINDS, configJsonSchema } = await import("../shared/config/config.js");
      const known = CONFIG_KINDS.find((name) => name === (kind ?? "simulate"));
      if (known === undefined) {
        throw new KindredError(
          "invalid_option",
          `schema ${kind}: no such kind of configuration; expected ${CONFIG_KINDS.join(" or ")}`,
        );
      }
      await printResult(configJsonSchema(known), { ...options, json: true }, () => "");
    });
  return example(command, "schema simulate > simulate.schema.json");
}
