/**
 * A simulated client's session: enrols, polls, works, uploads, reports, and returns to the coordinator's next process. It calls the
 * roster like the server's handlers, with results that passed the wire's codec, but without a network.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ProcessMemory } from "../../client/outbox/memory.js";
import { appliedTransforms, encodeReleases } from "../../client/outbox/releases.js";
import { ABILITIES } from "../../client/outbox/transforms/chain.js";
import type { NextTask } from "../../coordinator/roster/polls.js";
import type { Receipt } from "../../coordinator/roster/results.js";
import type { Roster } from "../../coordinator/roster/roster.js";
import type { StateGuard } from "../../coordinator/storage/guard.js";
import type { State } from "../../coordinator/storage/types.js";
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import { silentLog } from "../../shared/base/log.js";
import type { TaskResult__Output } from "../../shared/wire/gen/kindred/v1/TaskResult.js";
import { PROTOCOL_VERSION } from "../../shared/wire/limits.js";
import { messageSize, services } from "../../shared/wire/services.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { decodeResult, encodeResult } from "../../tasks/envelope.js";
import type { TaskResult, TaskSpec, UnsentResult } from "../../tasks/kinds.js";
import type { Cohort, CohortClient } from "./cohort.js";
import { IDENTITY } from "./federation.js";
import type { VirtualTime } from "./virtual-time.js";

/** The course of a client's attempt at a task. */
export interface Trouble {
  /** Time of the work, milliseconds. */
  readonly delayMs: number;
  /** The message that gets lost: the task on its way to the client, the report, or the coordinator's receipt for it. */
  readonly lost: "nothing" | "task" | "report" | "receipt";
  /** Milliseconds after which the same report arrives again; absent: never. */
  readonly againMs?: number;
}

export const CALM: Trouble = { delayMs: 1, lost: "nothing" };

/** One process of the coordinator, as clients see it. */
export interface Process {
  readonly roster: Roster;
  readonly state: State;
  /** Answers the clients' calls where the state is in trouble. */
  readonly guard: Pick<StateGuard, "answer">;
  /** Rejects when the process dies. */
  readonly dies: Promise<never>;
  readonly signal: AbortSignal;
}

export interface SessionOptions {
  readonly client: CohortClient;
  readonly cohort: Cohort;
  readonly time: VirtualTime;
  /** The current process, or the next one once it exists. */
  readonly process: () => Promise<Process>;
  /** The course of the client's next attempt. */
  readonly trouble: (client: string, task: TaskSpec) => Trouble;
}

/** The connection is gone: the process died. */
export class ConnectionLost extends Error {}

const RETRY_MS = 50;
const WAIT_MS = 60_000;
const PIECE_BYTES = 100;

export class CohortSession {
  private token: string | undefined;
  /** Survives the deaths of the coordinator, since the client lives on. */
  private readonly memory = new ProcessMemory(silentLog);
  private break: (error: unknown) => void = () => undefined;

  constructor(private readonly options: SessionOptions) {}

  /** Works until the test's process ends: the run never ends for the client. */
  run(): Promise<never> {
    return new Promise((_, reject) => {
      this.break = reject;
      this.loop().catch(reject);
    });
  }

  private async loop(): Promise<never> {
    for (;;) {
      const next = await this.call(
        ({ roster, signal }, name): Promise<NextTask> => roster.nextTask(name, WAIT_MS, signal),
      );
      if (next.type === "over") throw new Error("nobody ends a pinned run");
      if (next.type === "task") await this.work(next.taskId, next.task);
    }
  }

  private async work(taskId: string, task: TaskSpec): Promise<void> {
    const { client, cohort, time, trouble } = this.options;
    const { delayMs, lost, againMs } = trouble(client.name, task);
    await time.sleep(delayMs);
    if (lost === "task") return;
    try {
      await this.call(({ roster }, name) => roster.progress(name, taskId, 0.5));
      const made = await cohort(client, task, (ref) => this.download(taskId, ref)).catch((thrown: unknown) => {
        const error = asKindredError(thrown);
        if (error.code === "not_found" && error.facts.what === "task") throw error;
        return error;
      });
      const send =
        made instanceof KindredError
          ? this.failure(taskId, made)
          : this.report(taskId, await this.upload(taskId, task, made));
      if (lost === "report") return;
      const receipt = await send();
      if (lost === "receipt") await send();
      if (againMs !== undefined) this.later(againMs, send, receipt);
    } catch (error) {
      // An earlier copy of the report settled the task meanwhile, or a blob that it needs is being made again.
      if (!(error instanceof KindredError && error.code === "not_found")) throw error;
    }
  }

  /** Sends a report again, at any later time of the client. */
  private later(afterMs: number, send: () => Promise<Receipt>, receipt: Receipt): void {
    const again = async (): Promise<void> => {
      await this.options.time.sleep(afterMs);
      // After a power cut the coordinator may have lost the upload: there is no receipt, and the client does the task again.
      const second = await send().catch((error: unknown) => {
        if (error instanceof KindredError && error.code === "not_found") return receipt;
        throw error;
      });
      assert.equal(second.accepted, receipt.accepted, "a second report has the receipt of the first");
    };
    again().catch(this.break);
  }

  private failure(taskId: string, { code, message }: KindredError) {
    return () => this.call(({ roster }, name) => roster.fail(name, taskId, code, message));
  }

  private report(taskId: string, made: TaskResult) {
    const method = services.Tasks.service.ReportResult;
    const bytes = method.requestSerialize(encodeResult(taskId, made));
    return () =>
      this.call(({ roster }, name) => {
        const message = method.requestDeserialize(bytes) as TaskResult__Output;
        return roster.report(name, taskId, () => decodeResult(message), messageSize(message));
      });
  }

  private async download(taskId: string, ref: BlobRef): Promise<Uint8Array> {
    return this.call(async ({ roster, state }, name) => {
      await roster.checkDownload(name, taskId, ref);
      const pieces: Buffer[] = [];
      for await (const piece of state.blobs.read(ref, 0, PIECE_BYTES)) pieces.push(piece);
      return Uint8Array.from(Buffer.concat(pieces));
    });
  }

  /** Sends the result's tensors, from where an earlier attempt stopped. */
  private async upload(taskId: string, task: TaskSpec, made: UnsentResult): Promise<TaskResult> {
    const send = async (bytes: Uint8Array): Promise<BlobRef> => {
      const ref = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
      await this.call(async ({ roster, state }, name) => {
        await roster.checkUpload(name, taskId, ref);
        if (await state.records.isUploaded(taskId, ref)) return;
        const incoming = await state.blobs.receive(taskId, ref);
        while (incoming.held < ref.size) {
          await incoming.append(bytes.subarray(incoming.held, incoming.held + Math.ceil(ref.size / 2)));
        }
        await incoming.finish();
        await state.records.completeUpload(taskId, ref);
      });
      return ref;
    };
    const garbage = this.options.client.faults?.some(({ kind, does }) => kind === task.kind && does === "garbage");
    const refs: Record<string, BlobRef> = {};
    for (const { field, bytes } of await encodeReleases(task, made, this.memory)) {
      refs[field] = await send(garbage ? bytes.slice(0, 16) : bytes);
    }
    return { ...made, ...refs, ...appliedTransforms(task) } as unknown as TaskResult;
  }

  /** Calls the coordinator until one of its processes answers. */
  private async call<T>(what: (process: Process, name: string) => Promise<T>): Promise<T> {
    for (;;) {
      const process = await this.options.process();
      try {
        // The network's handlers do each call's work so.
        const call = async (): Promise<T> => what(process, await this.enrolled(process));
        return await Promise.race([process.guard.answer(call), process.dies]);
      } catch (error) {
        const waits = error instanceof KindredError && error.code === "state_unavailable";
        if (!waits && !(error instanceof ConnectionLost)) throw error;
        await this.options.time.sleep(RETRY_MS);
      }
    }
  }

  private async enrolled({ roster }: Process): Promise<string> {
    const { name, rows } = this.options.client;
    try {
      if (this.token !== undefined) return roster.authenticate(this.token);
    } catch (error) {
      // A power cut removed the session: the client enrols again.
      if (!(error instanceof KindredError && error.code === "not_found")) throw error;
    }
    this.token = await roster.enrol({
      protocolVersion: PROTOCOL_VERSION,
      name,
      instanceId: `instance of ${name}`,
      identity: IDENTITY,
      rows,
      transforms: ABILITIES,
    });
    return name;
  }
}
