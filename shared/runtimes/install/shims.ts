/** What @tensorflow/tfjs-node 4.22 expects of node and newer versions lack. */
import { createRequire } from "node:module";

/** Gives node:util back two functions that Node 23 has removed. Before the package is loaded. */
export function restoreUtil(): void {
  const util = createRequire(import.meta.url)("node:util") as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
}
