/**
 * The measurements of a study so far, one per line, so that a study of hours continues where it was stopped. It knows nothing of their
 * meaning.
 */
import { createHash } from "node:crypto";
import { appendFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import { makeFolder } from "../../../shared/base/folders.js";
import { canonicalJson } from "../../../shared/base/json.js";

export const MEASUREMENTS = "measurements.jsonl";

export class Measurements {
  private constructor(
    private readonly path: string,
    private readonly known: Map<string, unknown>,
  ) {}

  /**
   * @param setting everything that determines the values
   * @throws {KindredError} `already_exists` where the folder has measurements of another setting, without `force`
   */
  static async open(folder: string, setting: unknown, force: boolean): Promise<Measurements> {
    makeFolder(folder);
    const path = join(folder, MEASUREMENTS);
    const mark = JSON.stringify({
      format: "kindred-measurements",
      setting: createHash("sha256").update(canonicalJson(setting)).digest("hex"),
    });
    if (force) await rm(path, { force: true });
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    const known = new Map<string, unknown>();
    if (text === undefined) {
      await writeAtomically(path, `${mark}\n`);
      return new Measurements(path, known);
    }
    // A last line without a line end was incomplete when the process ended.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const [first, ...lines] = whole.split("\n");
    if (first !== mark) {
      throw new KindredError(
        "already_exists",
        `${path}: has measurements of another setting; choose another --out, or add --force to replace them`,
        { path },
      );
    }
    if (whole !== text) await writeAtomically(path, whole);
    lines.slice(0, -1).forEach((line, at) => {
      const { key, value } = parsed(line, path, at + 2);
      known.set(key, value);
    });
    return new Measurements(path, known);
  }

  /** The value of a key, measured now unless it is known. @param measure returns a value of JSON */
  async of<T>(key: unknown, measure: () => Promise<T>): Promise<T> {
    const name = canonicalJson(key);
    if (this.known.has(name)) return this.known.get(name) as T;
    const value = await measure();
    await appendFile(this.path, `${JSON.stringify({ key: name, value })}\n`);
    this.known.set(name, value);
    return value;
  }
}

function parsed(line: string, path: string, number: number): { key: string; value: unknown } {
  try {
    const { key, value } = JSON.parse(line) as Record<string, unknown>;
    if (typeof key === "string") return { key, value };
  } catch {
    // The error below says it.
  }
  throw new KindredError(
    "invalid_data",
    `${path}: line ${number} is not a measurement; remove the line to measure it again`,
    { path, line: number },
  );
}
