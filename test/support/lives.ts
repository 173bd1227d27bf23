/**
 * A run whose coordinator dies and is opened again on its state, as often as a test specifies, in virtual time. Clients
 * survive; their attempts are delayed, lost and repeated as the test specifies.
 */
import { setMaxListeners } from "node:events";
import { Roster } from "../../coordinator/roster/roster.js";
import { StateGuard } from "../../coordinator/storage/guard.js";
import type { State } from "../../coordinator/storage/types.js";
import { silentLog } from "../../shared/base/log.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { type Cohort, type CohortClient, cohort } from "./cohort.js";
import { CALM, CohortSession, ConnectionLost, type Process, type Trouble } from "./cohort-session.js";
import { IDENTITY } from "./federation.js";
import { onFillingDisk, type Shortage } from "./full-disk.js";
import { MemoryStore } from "./memory-store.js";
import { type Death, mortal } from "./mortal-store.js";
import { type Json, type PinnedPlan, pinnedRun } from "./pinned-run.js";
import { VirtualTime } from "./virtual-time.js";

/** Keeps the state while no process of the coordinator lives. */
export interface Disk {
  /** The state for the next process. */
  open(): Promise<State>;
  /** Removes everything that the state does not promise to keep. */
  powerCut(): void;
}

export interface Case {
  readonly plan: PinnedPlan;
  readonly clients: readonly CohortClient[];
}

export interface Adversity {
  /** The ends of the processes, one after the other; the process after the last one lives to the end. */
  readonly deaths?: readonly Death[];
  /** The courses of attempts, in the order in which clients start them; further attempts are calm. */
  readonly troubles?: readonly Trouble[];
  /** When the disk of each process runs full, in the order of its writes. @default never */
  readonly shortages?: readonly Shortage[];
  /** @default the deterministic one */
  readonly cohort?: Cohort;
  /** @default memory */
  readonly disk?: Disk;
}

export interface LivedRun {
  readonly outcome: Json;
  /** Of the last process. */
  readonly writes: number;
  /** Number of processes that died. */
  readonly deaths: number;
  /** Number of attempts that clients started. */
  readonly attempts: number;
  /** Writes of the last process that found its disk full. */
  readonly shortOfRoom: number;
  /** What the last process's log said of its state. */
  readonly told: readonly string[];
}

export function memoryDisk(): Disk {
  const store = new MemoryStore();
  return { open: async () => store, powerCut: () => store.powerCut() };
}

/** Runs a case to its end. */
export async function live({ plan, clients }: Case, runtime: Runtime, adversity: Adversity = {}): Promise<LivedRun> {
  const { deaths = [], troubles = [], shortages = [], disk = memoryDisk() } = adversity;
  const time = new VirtualTime();
  const present = new Present();
  let attempts = 0;
  let over = false;
  const sessions = clients.map((client) =>
    new CohortSession({
      client,
      cohort: adversity.cohort ?? cohort,
      time,
      process: () => present.get(),
      trouble: () => troubles[attempts++] ?? CALM,
    }).run(),
  );
  const pump = async (): Promise<never> => {
    while (!over) {
      // Everything that takes no time happens first.
      await new Promise<void>((resolve) => setImmediate(resolve));
      await time.pass();
    }
    return new Promise(() => undefined);
  };
  const broken = Promise.race([pump(), ...sessions]);
  broken.catch(() => undefined); // the run below rejects with it
  try {
    for (let died = 0; ; died++) {
      const life = new Life(plan, clients, runtime, time);
      const filling = onFillingDisk(await disk.open(), shortages);
      const { outcome, ...ended } = await Promise.race([life.run(filling.state, deaths[died], present), broken]);
      if (outcome !== undefined) return { outcome, ...ended, shortOfRoom: filling.failed(), deaths: died, attempts };
      if (deaths[died]?.powerCut) disk.powerCut();
    }
  } finally {
    over = true;
  }
}

/** The process that clients reach, once it exists. */
class Present {
  private process: Process | undefined;
  private readonly waiting: ((process: Process) => void)[] = [];

  get(): Promise<Process> {
    const { process } = this;
    if (process !== undefined) return Promise.resolve(process);
    return new Promise((resolve) => {
      this.waiting.push(resolve);
    });
  }

  set(process: Process | undefined): void {
    this.process = process;
    if (process !== undefined) for (const resolve of this.waiting.splice(0)) resolve(process);
  }
}

/** One process of the coordinator. */
class Life {
  constructor(
    private readonly plan: PinnedPlan,
    private readonly clients: readonly CohortClient[],
    private readonly runtime: Runtime,
    private readonly time: VirtualTime,
  ) {}

  /** @returns the outcome; undefined where the process died first */
  async run(
    inner: State,
    death: Death | undefined,
    present: Present,
  ): Promise<{ readonly outcome: Json | undefined; readonly writes: number; readonly told: readonly string[] }> {
    const told: string[] = [];
    const say = (message: string): void => void told.push(message);
    const log = { ...silentLog, warn: say, info: say, error: say };
    const stop = new AbortController();
    setMaxListeners(0, stop.signal); // every open task listens
    let lose: (error: Error) => void = () => undefined;
    const dies = new Promise<never>((_, reject) => {
      lose = reject;
    });
    dies.catch(() => undefined); // open calls handle it
    const guard = new StateGuard(inner, {
      waits: true,
      log,
      signal: stop.signal,
      now: this.time.now,
      sleep: (ms) => this.time.sleep(ms),
    });
    const { state, writes, kill } = mortal(guard.state, death, () => end());
    const roster = await Roster.open({
      records: state.records,
      blobs: state.blobs,
      identity: IDENTITY,
      log: silentLog,
      now: this.time.now,
      paused: () => guard.paused,
      every: this.time.every,
    });
    const end = (): void => {
      kill();
      present.set(undefined);
      lose(new ConnectionLost("the coordinator died"));
      stop.abort();
      roster.close();
    };
    present.set({ roster, state, guard, dies, signal: stop.signal });
    const clients = this.clients.map(({ name }) => name);
    const run = pinnedRun({
      plan: this.plan,
      clients,
      pool: roster,
      records: state.records,
      guard,
      runtime: this.runtime,
      signal: stop.signal,
    });
    run.catch(() => undefined); // the failure of a dead process is ignored
    const outcome = await Promise.race([run, dies.catch(() => undefined)]);
    if (outcome !== undefined) end();
    return { outcome, writes: writes(), told };
  }
}
