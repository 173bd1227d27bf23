/** The folder of the cache: fetched models, runtimes, hashes. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** KINDRED_CACHE, else XDG_CACHE_HOME/kindred, else ~/.cache/kindred. */
export function defaultCache(env: NodeJS.ProcessEnv = process.env): string {
  if (env.KINDRED_CACHE) return resolve(env.KINDRED_CACHE);
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "kindred");
}
