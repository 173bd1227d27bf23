/** Measurements in a process of their own: a process keeps the memory it once had, and its most says nothing of what came later. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * @param child module beside this one whose only argument is the case, as JSON, and whose output is what it found
 * @throws with what the process wrote to stderr, where it failed
 */
export async function apart<T>(child: string, given: unknown): Promise<T> {
  const path = fileURLToPath(new URL(child, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [path, JSON.stringify(given)]);
  return JSON.parse(stdout) as T;
}
