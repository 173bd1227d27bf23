/** The folder of the cache: fetched models, runtimes, hashes. */
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { PRIVATE_FOLDER } from "./private.js";

/** KINDRED_CACHE, else XDG_CACHE_HOME/kindred, else ~/.cache/kindred. */
export function defaultCache(env: NodeJS.ProcessEnv = process.env): string {
  if (env.KINDRED_CACHE) return resolve(env.KINDRED_CACHE);
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "kindred");
}

/**
 * Makes the cache's folder where it is missing, for its owner alone. One that is there keeps its rights, and what is written in it
 * follows the umask: so several users can share a cache.
 */
export async function makeCache(cache: string): Promise<void> {
  await mkdir(cache, { recursive: true, mode: PRIVATE_FOLDER });
}
