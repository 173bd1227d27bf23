/** The secret by which a coordinator knows an installation again: drawn once, kept in the client's state folder. */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import { makePrivateFolder, PRIVATE_FILE } from "../../shared/base/private.js";
import { MAX_INSTANCE_ID_LENGTH, MIN_INSTANCE_ID_LENGTH } from "../../shared/wire/limits.js";

const FILE = "instance-id";

export function newInstanceId(): string {
  return randomBytes(24).toString("base64url");
}

function read(path: string): string | undefined {
  let id: string;
  try {
    id = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof KindredError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new KindredError("invalid_option", `cannot read ${path}: ${(error as Error).message}`, { path }, error);
  }
  if (id.length >= MIN_INSTANCE_ID_LENGTH && id.length <= MAX_INSTANCE_ID_LENGTH) return id;
  const message = `${path} must hold ${MIN_INSTANCE_ID_LENGTH}..${MAX_INSTANCE_ID_LENGTH} characters, has ${id.length}: delete it to enrol anew`;
  throw new KindredError("invalid_option", message, { path });
}

/** The identity kept in `stateDir`, made on first use; without a folder, one for this process. */
export function instanceId(stateDir: string | undefined): string {
  if (stateDir === undefined) return newInstanceId();
  const path = join(stateDir, FILE);
  const known = read(path);
  if (known !== undefined) return known;
  const temporary = `${path}.${process.pid}`;
  try {
    makePrivateFolder(stateDir);
    writeFileSync(temporary, `${newInstanceId()}\n`, { mode: PRIVATE_FILE });
    linkSync(temporary, path); // appears whole, and fails where another process was first
  } catch (error) {
    if (error instanceof KindredError) throw error;
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new KindredError("invalid_option", `cannot write ${path}: ${(error as Error).message}`, { path }, error);
    }
  } finally {
    rmSync(temporary, { force: true });
  }
  return read(path) ?? newInstanceId();
}
