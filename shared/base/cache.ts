/** The folder of the cache: fetched models, runtimes, hashes. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { makeFolder } from "./folders.js";
import { PRIVATE_FOLDER } from "./private.js";

/** KINDRED_CACHE, else XDG_CACHE_HOME/kindred, else ~/.cache/kindred. */
export function defaultCache(env: NodeJS.ProcessEnv = process.env): string {
  if (env.KINDRED_CACHE) return resolve(env.KINDRED_CACHE);
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "kindred");
}

/**
 * Makes the cache's folder where it is missing, for its owner alone. One that is there keeps its rights, and what is written in it
 * follows the umask: so several users can share a cache.
 * @throws {KindredError} as `makeFolder`
 */
export function makeCache(cache: string): void {
  makeFolder(cache, { mode: PRIVATE_FOLDER, advice: "set KINDRED_CACHE to a folder that can be written" });
}
