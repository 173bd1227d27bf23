/** The rights of files: what others than the owner can read, write or enter. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Runs what follows with the umask that takes no rights away. */
export const WITHOUT_UMASK = ["sh", "-c", 'umask 0; exec "$@"', "sh"] as const;

/** Files and folders at or below `folder` that grant a right to others, with their mode: "blobs 755". */
export function openToOthers(folder: string): string[] {
  const below = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return ["", ...below].flatMap((name) => {
    const { mode } = statSync(join(folder, name));
    return (mode & 0o077) === 0 ? [] : [`${name || "."} ${(mode & 0o777).toString(8)}`];
  });
}
