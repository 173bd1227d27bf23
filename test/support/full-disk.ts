/** A state on a disk that runs full, as a test specifies. It throws what the file system throws, through the storage's own border. */
import { type Gate, gatedState } from "../../coordinator/storage/gated.js";
import { orTrouble } from "../../coordinator/storage/trouble.js";
import type { State } from "../../coordinator/storage/types.js";

/** The disk runs full with a write, counted from 1, and has room again after some further attempts. */
export interface Shortage {
  readonly write: number;
  /** Writes that fail one after the other, of whoever tries. */
  readonly attempts: number;
}

export interface FillingState {
  readonly state: State;
  readonly writes: () => number;
  /** Attempts that failed. */
  readonly failed: () => number;
}

const fullDisk = (): Error =>
  Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" });

export function onFillingDisk(inner: State, shortages: readonly Shortage[]): FillingState {
  let writes = 0;
  let failed = 0;
  let left = 0;
  const waiting = [...shortages];
  const gate: Gate = (access, call) => {
    if (access === "read") return call();
    writes++;
    const next = waiting[0];
    if (next !== undefined && writes >= next.write) left = waiting.shift()?.attempts ?? 0;
    if (left === 0) return call();
    left--;
    failed++;
    return orTrouble("the test's disk", async () => {
      throw fullDisk();
    });
  };
  return { state: gatedState(inner, gate), writes: () => writes, failed: () => failed };
}
