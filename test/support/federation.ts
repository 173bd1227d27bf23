/** A coordinator and clients for tests: real gRPC on a free port, real SQLite in a temporary folder, a runner that only counts. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type RunEnd,
  runSession,
  type SessionOptions,
  type TaskIo,
  type TaskRunner,
} from "../../client/session/session.js";
import type { ClientPool } from "../../coordinator/roster/pool.js";
import { type CoordinatorServer, type ServerOptions, serveCoordinator } from "../../coordinator/server/server.js";
import { openState } from "../../coordinator/storage/open.js";
import type { State } from "../../coordinator/storage/types.js";
import { encodeSafetensors, parseSafetensors } from "../../shared/adapters/safetensors.js";
import { silentLog } from "../../shared/base/log.js";
import { SeededRng } from "../../shared/base/random.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { AdapterSpec, BlobRef, ModelIdentity } from "../../shared/wire/types.js";
import type { Evaluate } from "../../tasks/evaluate/message.js";
import { weightAlternatives } from "../../tasks/fit-weights/message.js";
import type { TaskSpec, UnsentResult } from "../../tasks/kinds.js";
import type { TrainAdapter } from "../../tasks/train-adapter/message.js";

export const MODEL_HASH = "ab".repeat(32);
export const IDENTITY: ModelIdentity = {
  quantization: "none",
  modelHash: MODEL_HASH,
  tokenizerHash: "12".repeat(32),
  chatTemplateHash: null,
  endOfFreeAnswers: null,
  endOfOtherRows: null,
};
export const ROWS = { train: 5, validation: 2, test: 3 };
const NO_COST = { flops: 0, computeSeconds: 0, peakRssBytes: 0 };

export const ADAPTER = {
  kind: "lora",
  rank: 4,
  alpha: 8,
  modules: ["q_proj", "v_proj"],
  dropout: 0.1,
  initSeed: 7,
  freezeA: true,
  rslora: false,
} satisfies AdapterSpec;

/** A coordinator's server with its state. */
export interface Coordinator extends CoordinatorServer {
  readonly state: State;
}

/** A folder that is removed by `remove`. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "kindred-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Bytes that cannot result from compression or coincidence. */
export function bytesOf(size: number, ...labels: (string | number)[]): Uint8Array {
  const rng = new SeededRng(1, ...labels);
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = rng.uint32();
  return new Uint8Array(words.buffer, 0, size);
}

export function trainTask(start?: BlobRef, steps = 3): TrainAdapter {
  return {
    kind: "trainAdapter",
    adapter: ADAPTER,
    ...(start ? { start } : {}),
    offset: [],
    training: {
      learningRate: 1e-3,
      weightDecay: 0,
      warmupSteps: 0,
      totalSteps: 10,
      firstStep: 0,
      steps,
      batch: 8,
      clipNorm: 1,
      seed: 3,
    },
    validateEvery: 0,
    validateStart: false,
  };
}

export function evaluateTask(members: readonly BlobRef[] = [], examplesLimit = 0): Evaluate {
  return { kind: "evaluate", adapter: ADAPTER, members, mixtures: [[]], split: "test", examplesLimit };
}

/** An adapter's values of about this many bytes: integers, so that counting up stays exact. */
export function adapterBytes(size: number, ...labels: (string | number)[]): Uint8Array {
  return encodeSafetensors(someTensors(size, ...labels));
}

function someTensors(size: number, ...labels: (string | number)[]): NamedTensors {
  const data = Float32Array.from(new Uint16Array(bytesOf(Math.floor(size / 4) * 2, ...labels).slice().buffer));
  return new Map([["values", { shape: [data.length], data }]]);
}

function oneHigher(tensors: NamedTensors): NamedTensors {
  return new Map(Array.from(tensors, ([name, { shape, data }]) => [name, { shape, data: data.map((x) => x + 1) }]));
}

/** The counting runner's result for a start: every value one higher. */
export function incremented(bytes: Uint8Array): Uint8Array {
  return encodeSafetensors(oneHigher(parseSafetensors(bytes).tensors));
}

/** Fetches every blob of its task; training returns the start's values plus one. */
export async function count(task: TaskSpec, io: TaskIo): Promise<UnsentResult> {
  switch (task.kind) {
    case "sketchGradients":
      return {
        kind: task.kind,
        rows: { tensors: someTensors(task.dim * 4, "rows") },
        trainExamples: ROWS.train,
        cost: NO_COST,
      };
    case "listChoices":
      return { kind: task.kind, answerPrefixes: [[3], [3, 70_000]], cost: NO_COST };
    case "trainAdapter": {
      const start = task.start && parseSafetensors(await io.download(task.start)).tensors;
      const losses = Array.from({ length: task.training.steps }, (_, i) => 1 / (i + 1));
      const values = { tensors: oneHigher(start ?? someTensors(1_000, "fresh")), ...(start ? { start } : {}) };
      return { kind: task.kind, values, losses, examples: ROWS.train, validation: [], cost: { ...NO_COST, flops: 12 } };
    }
    case "evaluate": {
      for (const member of task.members) await io.download(member);
      const score = { nllSum: 1.5, tokens: 9, correct: 2, choiceRows: 3, examples: ROWS.test };
      return { kind: task.kind, scores: task.mixtures.map(() => score), cost: NO_COST };
    }
    case "fitWeights": {
      for (const member of task.members) await io.download(member);
      const nllSums = weightAlternatives(task.prior, task.prior).map(() => 1);
      return { kind: task.kind, weights: task.prior, tokens: 4, nllSums, cost: NO_COST };
    }
    case "receiveEnsemble":
      for (const member of task.members) await io.download(member.adapter);
      return { kind: task.kind, cost: NO_COST };
  }
}

export const countingRunner: TaskRunner = { run: count };

export async function coordinatorAt(url: string, options: Partial<ServerOptions> = {}): Promise<Coordinator> {
  const state = await openState(url);
  const given = { listen: "127.0.0.1:0", state, identity: IDENTITY, log: silentLog, ...options };
  const server = await serveCoordinator(given).catch(async (error: unknown) => {
    await state.close();
    throw error;
  });
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await server.close();
    await state.close();
  };
  return {
    ...server,
    state,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** Resolves once the client of this name is enrolled. */
export async function arrived(pool: ClientPool, name: string): Promise<void> {
  while (!(await pool.clients()).some((client) => client.name === name)) await sleep(5);
}

/** A running client; `stop` ends it and waits. */
export interface TestClient {
  readonly end: Promise<RunEnd>;
  stop(): Promise<void>;
}

export function clientOf(address: string, name: string, options: Partial<SessionOptions> = {}): TestClient {
  const controller = new AbortController();
  const end = runSession({
    coordinator: address,
    name,
    identity: IDENTITY,
    rows: ROWS,
    runner: countingRunner,
    log: silentLog,
    signal: controller.signal,
    ...options,
  });
  end.catch(() => undefined); // a test that expects the error awaits `end` itself
  return {
    end,
    stop: async () => {
      controller.abort();
      await end.catch(() => undefined);
    },
  };
}
