/**
 * One coordinator per folder: two would hand out the same tasks. The lease is a transaction held open on a file of its own, so
 * that others may read the state, and so that the operating system drops it when the process dies. (Exclusive locking of the
 * state itself outlives `close`, because libsql keeps statements until they are collected.)
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import Database from "libsql";
import { KindredError } from "../../../shared/base/errors.js";
import type { Lease } from "../types.js";
import { databaseError } from "./database.js";

const lockOf = (folder: string): string => join(folder, "lock.db");

const isBusy = (error: unknown): boolean => (error as { code?: string }).code?.startsWith("SQLITE_BUSY") === true;

/** A reader that looks whether the lease is held has the file locked for some microseconds. */
const READERS_MS = 100;

/** @throws {KindredError} `invalid_option` where another process holds the lease */
export async function takeLease(folder: string): Promise<Lease> {
  const file = lockOf(folder);
  let lock: InstanceType<typeof Database> | undefined;
  try {
    lock = new Database(file);
    lock.exec(`pragma busy_timeout = ${READERS_MS}`);
    lock.exec("begin exclusive");
  } catch (error) {
    lock?.close();
    if (!isBusy(error)) throw databaseError(file, error);
    const message = `state ${folder}: is in use by another process; stop that one, or choose another folder`;
    throw new KindredError("invalid_option", message, { folder }, error);
  }
  const held = lock;
  return {
    release: async () => {
      if (!held.open) return;
      try {
        // Not "commit", which a full disk refuses: nothing was written.
        held.exec("rollback");
      } finally {
        held.close();
      }
    },
  };
}

/**
 * Whether a coordinator holds the lease: by a lock of this machine's operating system, so that a copy of the folder is held by nobody.
 * Writes nothing.
 */
export function leaseHeld(folder: string): boolean {
  const file = lockOf(folder);
  if (!existsSync(file)) return false;
  // Attached to a database in memory, which, unlike a file, is let go at `close`.
  const memory = new Database(":memory:");
  try {
    memory.prepare("attach ? as lock").run([`${pathToFileURL(file).href}?mode=ro`]);
    memory.prepare("select count(*) from lock.sqlite_master").all();
    memory.exec("detach lock");
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw databaseError(file, error);
  } finally {
    memory.close();
  }
}
