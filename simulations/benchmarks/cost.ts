/** The cost of a piece of work: wall time, processor time, and the longest time that it holds the event loop. */
import { readFileSync } from "node:fs";

export interface ProcessCost {
  /** Seconds. */
  readonly clock: number;
  readonly processor: number;
  /** Largest processor time of the main thread between two turns of the event loop, milliseconds: independent of other load. */
  readonly held: number;
}

export async function costOf<T>(run: () => Promise<T>): Promise<{ value: T; cost: ProcessCost }> {
  let held = 0;
  let before = mainThreadMs();
  const look = () => {
    const now = mainThreadMs();
    held = Math.max(held, now - before);
    before = now;
  };
  const timer = setInterval(look, 1);
  const begun = performance.now();
  const usage = process.cpuUsage();
  const value = await run();
  const { user, system } = process.cpuUsage(usage);
  const clock = (performance.now() - begun) / 1000;
  look();
  clearInterval(timer);
  return { value, cost: { clock, processor: (user + system) / 1e6, held } };
}

/** Processor time of the main thread on Linux; wall time on other systems. */
function mainThreadMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1e6;
  } catch {
    return performance.now();
  }
}
