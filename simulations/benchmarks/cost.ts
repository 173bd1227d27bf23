/** What a piece of work costs: time by the clock and of the processors, and how long it holds the event loop. */
import { readFileSync } from "node:fs";

export interface Cost {
  /** Seconds. */
  readonly clock: number;
  readonly processor: number;
  /** Processor milliseconds of the main thread, the most between two turns of the event loop: a busy machine does not add to them. */
  readonly held: number;
}

export async function costOf<T>(run: () => Promise<T>): Promise<{ value: T; cost: Cost }> {
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

/** Linux counts the main thread by itself; elsewhere the time by the clock stands for it. */
function mainThreadMs(): number {
  try {
    return Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1e6;
  } catch {
    return performance.now();
  }
}
