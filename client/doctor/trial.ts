/**
 * The process in which the doctor tests one runtime, named by its first argument: a broken native library may end it, or never return.
 * It sends its parent one message; the parent then ends it, because a native library may prevent it from ending.
 */
import { asKindredError } from "../../shared/base/errors.js";
import { CANDIDATES } from "../../shared/runtimes/choose.js";
import type { StepResult } from "./step.js";

export type TrialAnswer =
  | { readonly outcome: "computed"; readonly result: StepResult }
  /** The runtime was not opened. */
  | { readonly outcome: "absent"; readonly why: string }
  /** The runtime was opened, and failed then. */
  | { readonly outcome: "failed"; readonly why: string };

async function attempt(name: string): Promise<TrialAnswer> {
  const candidate = CANDIDATES.find((each) => each.name === name);
  if (candidate === undefined) return { outcome: "failed", why: `there is no runtime ${name}` };
  const why = (error: unknown): string => asKindredError(error).message.replace(`${name}: `, "");
  try {
    const runtime = await candidate.open();
    try {
      const { trainingStep } = await import("./step.js"); // most runtimes are absent, and need no model
      return { outcome: "computed", result: await trainingStep(runtime) };
    } catch (error) {
      return { outcome: "failed", why: why(error) };
    }
  } catch (error) {
    return { outcome: "absent", why: why(error) };
  }
}

process.send?.(await attempt(process.argv[2] ?? ""));
