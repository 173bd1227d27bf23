/**
 * Lives runs in a thread of its own. node:test follows every promise of its own thread through async hooks, and a run makes tens of
 * thousands: in the tests' thread that took half of the time.
 */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { openState } from "../../../coordinator/storage/open.js";
import type { State } from "../../../coordinator/storage/types.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type Cohort, cohort } from "../../support/cohort.js";
import type { Trouble } from "../../support/cohort-session.js";
import type { Shortage } from "../../support/full-disk.js";
import { type Case, type Disk, type LivedRun, live, memoryDisk } from "../../support/lives.js";
import { MemoryStore } from "../../support/memory-store.js";
import type { Death } from "../../support/mortal-store.js";
import { remembering } from "../../support/remembering-runtime.js";

/** Between two processes every blob is changed, cut or removed, or the one at a place of the list of all. */
export interface BlobDamage {
  readonly how: "flip" | "cut" | "remove";
  /** @default all */
  readonly at?: number;
}

/** What a run is to live through, as data. */
export interface Adversity {
  /** How the processes end, one after the other; the one after the last lives to the end. */
  readonly deaths?: readonly Death[];
  /** What happens to attempts, in the order in which clients begin them; those behind the list are calm. */
  readonly troubles?: readonly Trouble[];
  /** When the disk runs full. */
  readonly shortages?: readonly Shortage[];
  /** Results depend on the task alone; on the order of arrival; on the attempt. @default "sound" */
  readonly cohort?: "sound" | "byOrder" | "byAttempt";
  /** The state is in memory; in SQLite and files of a folder; in memory that each process finds empty. @default "memory" */
  readonly disk?: "memory" | "forgetful" | { readonly folder: string; readonly damage?: BlobDamage };
  /** Computes each estimate anew, instead of remembering what equal ones gave. */
  readonly anew?: boolean;
}

export interface Request {
  readonly id: number;
  /** Absent: the end. */
  readonly run?: { readonly given: Case; readonly adversity: Adversity };
}

export type Answer = { readonly id: number } & ({ readonly lived: LivedRun | undefined } | { readonly error: unknown });

/** A cohort that moves the first number of what it trains by a little. */
function shifted(by: (task: string) => number): Cohort {
  return async (client, task, download) => {
    const result = await cohort(client, task, download);
    if (result.kind !== "trainAdapter") return result;
    const tensors = new Map(result.values.tensors);
    const [name, { shape, data }] = [...tensors].at(-1)!;
    tensors.set(name, { shape, data: data.with(0, data[0]! + 1e-4 * by(client.name + JSON.stringify(task))) });
    return { ...result, values: { ...result.values, tensors } };
  };
}

const COHORTS: Readonly<Record<NonNullable<Adversity["cohort"]>, () => Cohort>> = {
  sound: () => cohort,
  byOrder: () => {
    let arrivals = 0;
    return shifted(() => arrivals++ % 3);
  },
  byAttempt: () => {
    const attempts = new Map<string, number>();
    return shifted((task) => {
      const at = attempts.get(task) ?? 0;
      attempts.set(task, at + 1);
      return at;
    });
  },
};

function damageBlobs(folder: string, { how, at }: BlobDamage): void {
  const files = (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => /[0-9a-f]{64}$/.test(name))
    .sort();
  for (const name of at === undefined ? files : [files[at % files.length]!]) {
    const file = join(folder, name);
    const bytes = readFileSync(file);
    if (how === "remove") rmSync(file);
    else if (how === "cut") truncateSync(file, bytes.length >> 1);
    else writeFileSync(file, bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] ?? 0) ^ 1));
  }
}

/** As a coordinator has it: in a folder, closed and opened again. */
function folderDisk(path: string, damage: BlobDamage | undefined): Disk & { close(): Promise<void> } {
  let state: State | undefined;
  return {
    async open() {
      await state?.close();
      if (state !== undefined && damage !== undefined) damageBlobs(join(path, "blobs"), damage);
      state = await openState(path);
      return state;
    },
    powerCut: () => {
      throw new Error("a test cannot cut the power of this machine");
    },
    close: async () => state?.close(),
  };
}

// One thread: sums of float32 are then in one order.
const solving = new OnnxRuntime({ threads: 1 });
const remembered = remembering(solving);

async function lived(given: Case, adversity: Adversity): Promise<LivedRun> {
  const { deaths = [], troubles = [], shortages = [], cohort = "sound", disk = "memory", anew = false } = adversity;
  const folder = typeof disk === "object" ? folderDisk(disk.folder, disk.damage) : undefined;
  const forgetful: Disk = { open: async () => new MemoryStore(), powerCut: () => undefined };
  try {
    return await live(given, anew ? solving : remembered, {
      deaths,
      troubles,
      shortages,
      cohort: COHORTS[cohort](),
      disk: folder ?? (disk === "forgetful" ? forgetful : memoryDisk()),
    });
  } finally {
    await folder?.close();
  }
}

parentPort?.on("message", ({ id, run }: Request) => {
  const work = run === undefined ? remembered.close() : lived(run.given, run.adversity);
  work.then(
    (result) => parentPort?.postMessage({ id, lived: result ?? undefined } satisfies Answer),
    (error) => parentPort?.postMessage({ id, error } satisfies Answer),
  );
});
