/** Trouble of a machine's disk, told from other errors of its file system: it says nothing of the file or its content, and may pass. */

/** What is wrong with the disk. */
export type DiskTrouble = "full" | "readonly" | "handles" | "failing";

const TROUBLES: Readonly<Record<string, DiskTrouble>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EROFS: "readonly",
  EMFILE: "handles",
  ENFILE: "handles",
  EIO: "failing",
  ESTALE: "failing",
};

/** The trouble in words that finish "the machine ...". */
export const DISK_TROUBLES: Readonly<Record<DiskTrouble, string>> = {
  full: "has no room left on its disk",
  readonly: "cannot write to its disk",
  handles: "has no file handles left",
  failing: "has a disk that fails",
};

/** What to do about it, and then start again. */
export const DISK_REMEDIES: Readonly<Record<DiskTrouble, string>> = {
  full: "free space",
  readonly: "make the disk writable",
  handles: "raise the limit of open files (ulimit -n)",
  failing: "check the disk",
};

/** Longest chain of causes that is looked through. */
const MAX_CAUSES = 10;

/** The trouble of the disk that an error, or one of its causes, is of. */
export function diskTrouble(error: unknown): DiskTrouble | undefined {
  let cause = error;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && Object.hasOwn(TROUBLES, code)) return TROUBLES[code];
    cause = cause.cause;
  }
  return undefined;
}
