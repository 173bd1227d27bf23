/**
 * Opens a state by its URL. A scheme is a folder here and a line in `SCHEMES`; nothing else knows where a state is kept.
 *
 *     file:///abs/folder, file:rel/folder, a path   a folder with a SQLite database and files
 *     memory:                                       this process's memory, a new state each time
 *     memory:NAME                                   this process's memory, the state of that name
 */
import { KindredError } from "../../shared/base/errors.js";
import { memoryScheme } from "./memory/state.js";
import { sqliteScheme } from "./sqlite/state.js";
import type { Scheme, State, StateReader, StateRemoval } from "./types.js";

const SCHEMES: Readonly<Record<string, Scheme>> = { file: sqliteScheme, memory: memoryScheme };

/**
 * Opens a run's state to write, making it where it is missing, and holds its lease until `close`.
 * @throws {KindredError} `invalid_option` where the URL is wrong, the place cannot be written or another coordinator holds
 *   the lease; `unsupported` for another scheme or another version of the tables
 */
export function openState(url: string): Promise<State> {
  return schemeOf(url).open(url);
}

/**
 * Opens a run's state to read, also while a coordinator writes to it. Takes no lock and writes nothing.
 * @throws {KindredError} `not_found` where there is no state; as `openState` else
 */
export function readState(url: string): Promise<StateReader> {
  return schemeOf(url).read(url);
}

/** Whether a coordinator of this machine holds the state's lease. Takes no lock and writes nothing. */
export function stateInUse(url: string): Promise<boolean> {
  return schemeOf(url).inUse(url);
}

/**
 * Prepares the removal of a state, of any version. Changes nothing.
 * @param also names of further files and folders that the run keeps in the state's folder
 * @throws {KindredError} `not_found` where there is no state, `invalid_option` where a coordinator holds it or the folder is a link,
 *   `unsupported` where states are not kept in a folder
 */
export async function stateRemoval(url: string, also: readonly string[] = []): Promise<StateRemoval> {
  const removal = await schemeOf(url).removal?.(url, also);
  if (removal !== undefined) return removal;
  throw new KindredError("unsupported", `state ${url}: is kept in no folder; it goes with its process`, { url });
}

/**
 * The folder that keeps a state, as an absolute path; undefined for a state that has none.
 * @throws {KindredError} as `openState` for a wrong URL
 */
export function stateFolder(url: string): string | undefined {
  return schemeOf(url).folder?.(url);
}

function schemeOf(url: string): Scheme {
  // Two letters at least: C:\runs is a path.
  const name = /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]?.toLowerCase() ?? "file";
  const scheme = Object.hasOwn(SCHEMES, name) ? SCHEMES[name] : undefined;
  if (scheme !== undefined) return scheme;
  const supported = Object.keys(SCHEMES).map((known) => `${known}:`);
  const message = `state ${url}: unknown scheme; expected a folder or one of ${supported.join(", ")}, got ${name}:; for a folder of that name write ./${url}`;
  throw new KindredError("unsupported", message, { url, scheme: name });
}
