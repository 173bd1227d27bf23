/**
 * One coordinator per folder: two would hand out the same tasks. The lease is a transaction held open on a file of its own, so
 * that others may read the state, and so that the operating system drops it when the process dies. (Exclusive locking of the
 * state itself outlives `close`, because libsql keeps statements until they are collected.)
 */
import { join } from "node:path";
import Database from "libsql";
import { KindredError } from "../../../shared/base/errors.js";
import type { Lease } from "../types.js";
import { databaseError } from "./database.js";

/** @throws {KindredError} `invalid_option` where another process holds the lease */
export async function takeLease(folder: string): Promise<Lease> {
  const file = join(folder, "lock.db");
  let lock: InstanceType<typeof Database> | undefined;
  try {
    lock = new Database(file);
    lock.exec("begin exclusive");
  } catch (error) {
    lock?.close();
    if (!(error as { code?: string }).code?.startsWith("SQLITE_BUSY")) throw databaseError(file, error);
    const message = `state ${folder}: is in use by another coordinator; stop that one, or choose another folder`;
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
