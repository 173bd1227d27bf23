/** The largest resident memory that this process has had: mapped files and the program itself count. */
import { readFileSync } from "node:fs";

/** Bytes. Linux hands a parent's own peak on to what it starts, in resourceUsage but not in the file that is read here. */
export function peakRssBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // No such file but on Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
