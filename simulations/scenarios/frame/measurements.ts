/**
 * What a study has measured so far, a line each, so that a study of hours goes on where it was stopped. Knows nothing of what is
 * measured.
 */
import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import { canonicalJson } from "../../../shared/base/json.js";

export const MEASUREMENTS = "measurements.jsonl";

export class Measurements {
  private constructor(
    private readonly path: string,
    private readonly known: Map<string, unknown>,
  ) {}

  /**
   * @param setting everything that the values hang on
   * @throws {KindredError} `already_exists` where the folder holds measurements of another setting, without `force`
   */
  static async open(folder: string, setting: unknown, force: boolean): Promise<Measurements> {
    await mkdir(folder, { recursive: true });
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
    // A last line without an end was being written when the process ended.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const [first, ...lines] = whole.split("\n");
    if (first !== mark) {
      throw new KindredError(
        "already_exists",
        `${path}: holds measurements of another setting; choose another --out, or add --force to replace them`,
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

  /** The value of that key: measured now unless it was before. @param measure gives what JSON can hold */
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
    // Said below.
  }
  throw new KindredError(
    "invalid_data",
    `${path}: line ${number} is not a measurement; remove the line, and it is measured again`,
    { path, line: number },
  );
}
