/**
 * The parent's side of tokenizer-host.ts: one process for all tokenizers of this program, started by the first request and after each
 * end. It keeps no program alive, and ends with it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { TokenizerAnswer, TokenizerRequest } from "./tokenizer-host.js";

/** Why the library gave no answer: its own message, or how its process ended. */
export class TokenizerFailure extends Error {}

type WithoutKey<T> = T extends unknown ? Omit<T, "key"> : never;
type Request = WithoutKey<Exclude<TokenizerRequest, { kind: "load" }>>;
type Load = WithoutKey<Extract<TokenizerRequest, { kind: "load" }>>;

/** A panic's message is at the end of this. */
const MAX_STDERR = 8192;

let running: ChildProcess | undefined;
/** Requests are made one by one, so that the one that ends the process is known. */
let queue: Promise<unknown> = Promise.resolve();
let keys = 0;

/** A tokenizer in the library's process. It is loaded again where the process was started anew. */
export class HostedTokenizer {
  private readonly key = keys++;

  constructor(private readonly source: Load) {}

  /** @returns the value of the answer. @throws {TokenizerFailure} */
  load(): Promise<unknown> {
    return inTurn(async () => given(await exchange({ key: this.key, ...this.source })));
  }

  /** @returns the value of the answer. @throws {TokenizerFailure} */
  ask(request: Request): Promise<unknown> {
    return inTurn(async () => {
      const first = await exchange({ key: this.key, ...request });
      if (!("unloaded" in first)) return given(first);
      given(await exchange({ key: this.key, ...this.source }));
      return given(await exchange({ key: this.key, ...request }));
    });
  }
}

/** The library's messages may quote a whole file. */
const MAX_MESSAGE = 300;

function given(answer: TokenizerAnswer): unknown {
  if ("value" in answer) return answer.value;
  const message = "refused" in answer ? answer.refused : "it is not loaded";
  throw new TokenizerFailure(message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE)}...`);
}

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => {});
  return result;
}

function start(): ChildProcess {
  const started = fork(fileURLToPath(new URL("./tokenizer-host.js", import.meta.url)), {
    execArgv: [], // an inspector or a test runner of this process is not the child's
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, RUST_BACKTRACE: "0" },
  });
  started.on("close", () => {
    if (running === started) running = undefined;
  });
  return started;
}

/** One request and its answer. @throws {TokenizerFailure} where the process ends instead */
function exchange(request: TokenizerRequest): Promise<TokenizerAnswer> {
  running ??= start();
  const host = running;
  host.ref();
  host.channel?.ref();
  return new Promise<TokenizerAnswer>((resolve, reject) => {
    let stderr = "";
    const read = (chunk: Buffer): void => {
      stderr = (stderr + chunk.toString("utf8")).slice(0, MAX_STDERR);
    };
    const settle = (end: () => void): void => {
      host.off("message", answered).off("close", closed).off("error", failed);
      host.stderr?.off("data", read);
      host.unref();
      host.channel?.unref();
      (host.stderr as { unref?: () => void } | null)?.unref?.();
      end();
    };
    const answered = (answer: unknown): void => settle(() => resolve(answer as TokenizerAnswer));
    const closed = (code: number | null, signal: string | null): void =>
      settle(() => reject(new TokenizerFailure(reasonOf(code, signal, stderr))));
    const failed = (error: Error): void => {
      if (running === host) running = undefined;
      settle(() => reject(new TokenizerFailure(`its process did not start (${error.message})`)));
    };
    host.on("message", answered).on("close", closed).on("error", failed);
    host.stderr?.on("data", read);
    // An error here is followed by `close`, or by `error` where the process did not start.
    host.send(request, () => {});
  });
}

/** A panic's own message where there is one. */
function reasonOf(code: number | null, signal: string | null, stderr: string): string {
  const panic = /panicked at [^\n]*\n([^\n]*)/.exec(stderr)?.[1];
  if (panic !== undefined) return panic.slice(0, 300);
  const last = stderr.trim().split("\n").at(-1) ?? "";
  const how =
    signal === "SIGKILL" ? "was killed, perhaps for lack of memory" : `ended with ${signal ?? `code ${code}`}`;
  return `the tokenizer's process ${how}${last === "" ? "" : `: ${last.slice(0, 300)}`}`;
}
