/**
 * What transforms remember from round to round of a training: tensors by (training, round). A round's tensors are kept until the
 * training's next round is remembered, so that a task that is done twice finds what it found the first time.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { encodeSafetensors, parseSafetensors } from "../../shared/adapters/safetensors.js";
import { writeAtomically } from "../../shared/base/atomic.js";
import { KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { NamedTensors } from "../../shared/base/tensors.js";

export interface Memory {
  /** Nothing where this round is not remembered: its client lost its state. */
  load(training: string, round: number): Promise<NamedTensors | undefined>;
  /** @param keep the one earlier round to keep; all others of the training are forgotten */
  save(training: string, round: number, tensors: NamedTensors, keep: number | undefined): Promise<void>;
}

/** For clients without a state folder. Says once that a restart forgets. */
export class ProcessMemory implements Memory {
  private readonly trainings = new Map<string, Map<number, NamedTensors>>();

  constructor(private readonly log: Logger) {}

  async load(training: string, round: number): Promise<NamedTensors | undefined> {
    return this.trainings.get(training)?.get(round);
  }

  async save(training: string, round: number, tensors: NamedTensors, keep: number | undefined): Promise<void> {
    if (this.trainings.size === 0) {
      this.log.warn("no state folder given: errors of compressed updates are carried over until this process ends");
    }
    const kept = keep === undefined ? undefined : this.trainings.get(training)?.get(keep);
    const rounds = new Map([[round, tensors]]);
    if (keep !== undefined && kept !== undefined) rounds.set(keep, kept);
    this.trainings.set(training, rounds);
  }
}

/** A folder per training, a safetensors file per round. */
export class FolderMemory implements Memory {
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  async load(training: string, round: number): Promise<NamedTensors | undefined> {
    const path = join(this.of(training), fileName(round));
    try {
      return parseSafetensors(await readFile(path), { source: path, code: "invalid_data" }).tensors;
    } catch (error) {
      const damaged = error instanceof KindredError && error.code === "invalid_data";
      if (!damaged && (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      const reason = damaged ? error.message : `${path} is not there`;
      this.log.warn("the error of an earlier round is lost; it is not carried over", { training, round, reason });
      return undefined;
    }
  }

  async save(training: string, round: number, tensors: NamedTensors, keep: number | undefined): Promise<void> {
    const folder = this.of(training);
    const path = join(folder, fileName(round));
    try {
      await writeAtomically(path, encodeSafetensors(tensors));
      const kept = [fileName(round), ...(keep === undefined ? [] : [fileName(keep)])];
      for (const name of await readdir(folder)) if (!kept.includes(name)) await rm(join(folder, name), { force: true });
    } catch (error) {
      throw new KindredError("internal", `cannot write ${path}: ${(error as Error).message}`, { path }, error);
    }
  }

  /** Names of trainings come from the coordinator: no name leads elsewhere. */
  private of(training: string): string {
    return join(this.folder, createHash("sha256").update(training).digest("hex").slice(0, 32));
  }
}

const fileName = (round: number): string => `${round}.safetensors`;
