/** `kindred doctor` */
import type { Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

export function doctor(command: Command): Command {
  command.addOption(jsonOption()).action(async (options: OutputOptions) => {
    const { diagnose, diagnosisText, anythingWorks } = await import("../client/doctor/doctor.js");
    const diagnosis = await runJob(options, (context) => diagnose(context));
    await printResult(diagnosis, options, () => diagnosisText(diagnosis));
    if (!anythingWorks(diagnosis)) throw new KindredError("unavailable", "no runtime works on this machine");
  });
  return example(command, "doctor");
}
