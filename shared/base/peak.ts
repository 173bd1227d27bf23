/** The largest resident memory of this process so far, with mapped files and the program itself. */
import { readFileSync } from "node:fs";

/** Bytes. On Linux, resourceUsage starts with the parent's peak; /proc/self/status does not. */
export function peakRssBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // The file exists on Linux alone.
  }
  return process.resourceUsage().maxRSS * 1024;
}
