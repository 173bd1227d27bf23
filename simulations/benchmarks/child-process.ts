/** Measurements in a process of their own: a process keeps the memory it once had, and its peak belongs to the largest case. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * @param child module beside this one that takes the case, as JSON, as its only argument and prints the result as JSON
 * @throws with the output to stderr of a process that failed
 */
export async function inChildProcess<T>(child: string, given: unknown): Promise<T> {
  const path = fileURLToPath(new URL(child, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [path, JSON.stringify(given)]);
  return JSON.parse(stdout) as T;
}
