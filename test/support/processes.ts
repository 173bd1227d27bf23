/** Kindred's command line as a process of its own: its output as it comes, its end, and signals to it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../kindred.js", import.meta.url));

export interface Ended {
  /** Null after a signal that the process did not handle. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly end: Promise<Ended>;
  /** Text of stderr so far. */
  readonly stderr: () => string;
  /** Resolves once stderr matches; rejects where the process ends before. */
  seen(what: RegExp | ((stderr: string) => boolean)): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Words of a program that starts the process and watches it. A signal then goes to both. */
  readonly through?: readonly string[];
}

/** Starts `kindred` with these words. */
export function start(args: readonly string[], { cwd, env, through = [] }: StartOptions = {}): Started {
  const [program, ...words] = [...through, process.execPath, "--enable-source-maps", PROGRAM, ...args];
  const watched = through.length > 0;
  const child: ChildProcess = spawn(program as string, words, {
    cwd,
    detached: watched,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  const watchers = new Set<() => void>();
  const notify = (): void => {
    for (const watcher of [...watchers]) watcher();
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    notify();
  });
  let ended = false;
  const end = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      ended = true;
      resolve({ code, signal, stdout, stderr });
      notify();
    });
  });
  return {
    end,
    stderr: () => stderr,
    seen: (what) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          const fits = typeof what === "function" ? what(stderr) : what.test(stderr);
          if (fits) resolve();
          else if (ended) reject(new Error(`the process ended before ${what} was seen:\n${stderr}`));
          else return;
          watchers.delete(watch);
        };
        watchers.add(watch);
        watch();
      }),
    kill: (signal) => {
      if (!watched || child.pid === undefined) child.kill(signal);
      else if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal);
    },
  };
}

/** Runs `kindred` to its end. */
export function kindred(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return start(args, options).end;
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
