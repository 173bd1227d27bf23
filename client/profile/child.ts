/** The process of one measurement, told by its first argument what to measure. It answers its parent by one message. */
import { asKindredError } from "../../shared/base/errors.js";
import { type Measured, measure } from "./measure.js";
import type { Setting, Work } from "./work.js";

export type Answer = { readonly measured: Measured } | { readonly why: string };

// A parent that is gone cannot be told anything. It may have gone while this was loaded.
process.on("disconnect", () => process.exit(1));
if (!process.connected) process.exit(1);

async function attempt(): Promise<Answer> {
  const { setting, work } = JSON.parse(process.argv[2] as string) as { setting: Setting; work: Work };
  try {
    return { measured: await measure(setting, work) };
  } catch (error) {
    return { why: asKindredError(error).message };
  }
}

const answer = await attempt();
// Not left to end by itself: a native library may hold the process.
process.send?.(answer, () => process.exit(0));
