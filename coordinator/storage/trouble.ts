/**
 * Trouble of the coordinator's own: its state cannot be read or written, or a part of it is damaged. It has one code,
 * `state_unavailable`, so that no caller takes it for a client's fault. What to do about it is the guard's matter.
 */
import { DISK_REMEDIES, DISK_TROUBLES, type DiskTrouble, diskTrouble } from "../../shared/base/disk.js";
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/types.js";

/**
 * What is wrong with a state. `blob`: the content of one blob is lost or damaged, and can be made again. `database`: the records are
 * damaged, which nothing but a copy mends. The others may pass.
 */
export type StateTrouble = DiskTrouble | "blob" | "database";

/** @param place the file or folder that the state is in */
export function stateUnavailable(trouble: DiskTrouble, place: string, cause: unknown): KindredError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `state ${place}: the coordinator ${DISK_TROUBLES[trouble]} (${reason}); ${DISK_REMEDIES[trouble]}`;
  return new KindredError("state_unavailable", message, { trouble, place }, cause);
}

export function damagedDatabase(file: string, cause: Error): KindredError {
  const message = `state ${file}: is damaged; restore it from a copy, or start the run again in another folder (${cause.message})`;
  return new KindredError("state_unavailable", message, { trouble: "database", file }, cause);
}

/** @param problem what is wrong with it: "is missing" */
export function damagedBlob({ sha256, size }: BlobRef, place: string, problem: string): KindredError {
  const message = `state ${place}: blob ${sha256} of ${size} bytes ${problem}`;
  return new KindredError("state_unavailable", message, { trouble: "blob", sha256, size });
}

/** The trouble that an error tells of; undefined for an error of another kind. */
export function troubleOf(error: unknown): StateTrouble | undefined {
  if (!(error instanceof KindredError) || error.code !== "state_unavailable") return undefined;
  return error.facts.trouble as StateTrouble;
}

/** Errors of the file system in a state's folder as trouble of the state; all others as they are. */
export async function orTrouble<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
    if (error instanceof KindredError || typeof code !== "string" || syscall === undefined) throw error;
    throw stateUnavailable(diskTrouble(error) ?? "failing", place, error);
  }
}

/** The error for a client whose call met the trouble: it waits, and nothing is its fault. It names no path, which is the coordinator's own. */
export function troubleForClients(error: KindredError): KindredError {
  const trouble = troubleOf(error);
  if (trouble === "blob") {
    // Not to be waited for: the run may need this client to do other work before the blob is made again.
    const message = "a blob that the task names is lost and is made again: ask for the next task";
    return new KindredError("not_found", message, { what: "task" }, error);
  }
  const what = trouble === undefined || trouble === "database" ? "has a damaged state" : DISK_TROUBLES[trouble];
  const message = `the coordinator ${what}; nothing is lost, and there is nothing to do here`;
  return new KindredError("state_unavailable", message, { trouble }, error);
}
