/** Removes a state from its folder, and nothing else that is there. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isTemporaryName } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import { type Amount, measure, remove, sum } from "../../../shared/base/remove.js";
import type { StateRemoval } from "../types.js";
import { ReadingConnection } from "./database.js";
import { leaseHeld, takeLease } from "./lease.js";
import { holdsTables } from "./schema.js";

const LOCK = ["lock.db-journal", "lock.db"];
/** What makes the folder a state goes last, so that a removal that was stopped can be made again. */
const PARTS = ["blobs", "partial", "damaged", "state.db-wal", "state.db-shm"];
const MARK = "state.db";

/** @param also further files and folders that the run keeps in the folder */
export async function stateRemoval(folder: string, also: readonly string[]): Promise<StateRemoval> {
  await mustHoldState(folder);
  const inUse = (): KindredError => {
    const message = `${folder}: a process is at work on this run; stop it first (Ctrl-C), or wait until it has finished`;
    return new KindredError("invalid_option", message, { folder });
  };
  if (leaseHeld(folder)) throw inUse();
  const each = async (parts: readonly string[], act: (path: string) => Promise<Amount>): Promise<Amount> => {
    const amounts: Amount[] = [];
    for (const part of parts) amounts.push(await act(join(folder, part)));
    return sum(amounts);
  };
  const contents = async (): Promise<string[]> => {
    const names = await readdir(folder);
    return [...also, ...PARTS, ...names.filter(isTemporaryName)];
  };
  return {
    folder,
    measure: async () => each([...(await contents()), ...LOCK, MARK], measure),
    remove: async () => {
      // Held while the state is removed: a coordinator that starts meanwhile is refused.
      const lease = await takeLease(folder).catch(() => {
        throw inUse();
      });
      const removed = await contents()
        .then((parts) => each(parts, remove))
        .finally(() => lease.release());
      return sum([removed, await each([...LOCK, MARK], remove)]);
    },
  };
}

/** @throws {KindredError} `not_found` where the folder is no state, `invalid_option` where it is a link to one */
async function mustHoldState(folder: string): Promise<void> {
  const file = join(folder, MARK);
  const [place, database] = await Promise.all([folder, file].map((path) => lstat(path).catch(() => undefined)));
  if (place?.isSymbolicLink()) {
    throw new KindredError("invalid_option", `${folder}: is a link; give the folder that it leads to`, { folder });
  }
  if (!database?.isFile()) {
    throw new KindredError("not_found", `state ${folder}: holds no state (no state.db)`, { folder });
  }
  // Empty: its coordinator was killed before it made the tables.
  if (database.size === 0) return;
  const connection = new ReadingConnection(file);
  try {
    if (holdsTables(connection)) return;
  } finally {
    connection.close();
  }
  throw new KindredError("not_found", `state ${file}: holds no tables of Kindred`, { folder });
}
