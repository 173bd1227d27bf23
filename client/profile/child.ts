/**
 * The process of one measurement, which its first argument describes. It sends its parent one message; the parent then ends it, because
 * a native library may prevent it from ending.
 */
import { asKindredError } from "../../shared/base/errors.js";
import { type Measured, measure } from "./measure.js";
import type { Setting, Work } from "./work.js";

export type Answer = { readonly measured: Measured } | { readonly why: string };

// Without its parent, a measurement is useless and nothing would end it. The parent may have ended while this file was loaded.
const end = (): boolean => process.kill(process.pid, "SIGKILL");
process.on("disconnect", end);
if (!process.connected) end();

async function attempt(): Promise<Answer> {
  const { setting, work } = JSON.parse(process.argv[2] as string) as { setting: Setting; work: Work };
  try {
    return { measured: await measure(setting, work) };
  } catch (error) {
    return { why: asKindredError(error).message };
  }
}

process.send?.(await attempt());
