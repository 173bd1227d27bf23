/**
 * Durable execution by memo: a pipeline is an ordinary async function whose steps have names. A step's result is stored
 * under its name; a restarted coordinator runs the function again and gets stored results back until it reaches the step
 * that was under way. Right as long as the function between its steps depends on nothing but its arguments and the
 * steps' results. It knows nothing of what the steps do.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { RecordReader, Records } from "../storage/types.js";
import { Retention } from "./retention.js";

export interface StepOptions {
  /** Whether the blobs that the result names serve this run alone, and nothing after it. @default false */
  readonly transient?: boolean;
}

export class Journal {
  private readonly running = new Map<string, Promise<unknown>>();

  /** @param retention is told which blobs the results name */
  constructor(
    private readonly records: Pick<Records, "memo" | "saveMemo">,
    private readonly retention: Retention = new Retention(),
  ) {}

  /**
   * The result of `fn`, which runs unless a result is stored under `key`. A key that is being worked on is waited for, not
   * run twice. What fails is not stored, and runs again when asked for again.
   *
   * Results pass through JSON the first time as well, so that a first and a resumed run see the same values.
   * @throws {KindredError} `internal` where a result does not survive JSON (NaN, typed arrays, maps, class instances)
   */
  step<T>(key: string, fn: () => Promise<T>, { transient = false }: StepOptions = {}): Promise<T> {
    const known = this.running.get(key);
    if (known) return known as Promise<T>;
    const run = this.once(key, fn)
      .then((value) => {
        if (transient) this.retention.pass(value);
        else this.retention.keep(value);
        return value;
      })
      .finally(() => this.running.delete(key));
    this.running.set(key, run);
    return run;
  }

  /** Whether a result is stored under `key`. */
  async has(key: string): Promise<boolean> {
    return (await this.records.memo(key)) !== undefined;
  }

  private async once<T>(key: string, fn: () => Promise<T>): Promise<T> {
    const stored = await storedResult<T>(this.records, key);
    if (stored !== undefined) return stored.value;
    const value = await fn();
    mustSurviveJson(value, key);
    const json = JSON.stringify({ value });
    await this.records.saveMemo(key, json);
    return read<T>(json);
  }
}

/** What a journal keeps under a name, for those who read a run's records. @returns undefined where the step has no result yet */
export async function storedResult<T>(
  records: Pick<RecordReader, "memo">,
  key: string,
): Promise<{ readonly value: T } | undefined> {
  const stored = await records.memo(key);
  return stored === undefined ? undefined : { value: read<T>(stored) };
}

function read<T>(json: string): T {
  return (JSON.parse(json) as { value: T }).value;
}

function mustSurviveJson(value: unknown, path: string): void {
  if (value === null || value === undefined || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      // JSON has no undefined: an element would come back as null.
      if (item === undefined) throw new KindredError("internal", `journal step ${path}[${i}] is undefined`);
      mustSurviveJson(item, `${path}[${i}]`);
    });
    return;
  }
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    for (const [name, item] of Object.entries(value)) mustSurviveJson(item, `${path}.${name}`);
    return;
  }
  const shown = typeof value === "object" ? (value.constructor?.name ?? "object") : String(value);
  throw new KindredError(
    "internal",
    `journal step ${path} gave ${shown}, which JSON cannot keep: make it plain or a blob`,
  );
}
