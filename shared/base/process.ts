/**
 * What a process owes the person at its terminal: results on stdout and all else on stderr, one line for a mistake, a stop
 * on Ctrl-C that says how to go on, an exit code that tells the truth. Knows no command.
 */
import { setMaxListeners } from "node:events";
import type { JobContext } from "./command.js";
import { exitCodeOf, KindredError } from "./errors.js";
import { createProgress } from "./progress.js";

export interface OutputOptions {
  readonly debug?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
  /** How a user starts this program, for the word on resuming. @default "kindred" */
  readonly command?: string;
}

/** Between two Ctrl-C. npm passes a terminal's Ctrl-C on to us, who have it from the terminal already. */
const SAME_KEY_MS = 300;

/** A job that has not stopped by then is ended; a run resumes after any kind of end. */
const STOP_MS = 20_000;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Messages quote files and options, and what they hold must not steer the terminal. */
const oneLine = (text: string): string =>
  text
    .replace(/\s*[\r\n]\s*/g, " ")
    .replace(/\p{Cc}/gu, "\ufffd")
    .trim();

/** The signal that asked the running job to stop. */
let stoppedBy: keyof typeof EXIT_CODES | undefined;

/** Exit code of a job that was stopped: 130 after Ctrl-C. */
export function stopCode(): number {
  return EXIT_CODES[stoppedBy ?? "SIGINT"];
}

/** Whether colours may be written: to a terminal that shows them, unless NO_COLOR is set (no-color.org). */
export function wantsColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

/**
 * Runs a job with what it needs from its process, and sees it stop on Ctrl-C. Once a process.
 * @param options `resumes`: the same command goes on where it was stopped
 * @throws {KindredError} `cancelled`, saying how to resume, where the job did not end because it was stopped
 */
export async function runJob<T>(
  output: OutputOptions,
  job: (context: JobContext) => Promise<T>,
  { resumes = false }: { readonly resumes?: boolean } = {},
): Promise<T> {
  // Lines of a log would tear the bars that a terminal shows.
  const usual = process.stderr.isTTY ? "warn" : "info";
  const { createLog } = await import("./log.js"); // winston is slow to load, and mistakes come before jobs
  const log = createLog({ level: output.debug ? "debug" : output.quiet ? "error" : usual });
  const progress = createProgress({ quiet: output.quiet === true });
  const abort = new AbortController();
  setMaxListeners(0, abort.signal); // every task under way listens: node would take a run of many clients for a leak
  let firstMs = 0;
  const end = (): never => {
    progress.close();
    process.stderr.write(`kindred: ${stopped(output, resumes)}\n`);
    process.exit(stopCode());
  };
  const stop = (signal: keyof typeof EXIT_CODES): void => {
    if (stoppedBy !== undefined) {
      if (Date.now() - firstMs > SAME_KEY_MS) end();
      return;
    }
    stoppedBy = signal;
    firstMs = Date.now();
    process.stderr.write(`stopping${signal === "SIGINT" ? "; Ctrl-C again stops at once" : ""}\n`);
    abort.abort(new KindredError("cancelled", "stopped"));
    setTimeout(end, STOP_MS).unref();
  };
  // Never taken off: a signal that npm passes on late must not end a process that is printing its result.
  for (const signal of Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]) process.on(signal, stop);
  try {
    return await job({ log, progress, signal: abort.signal });
  } catch (error) {
    // A stopped job fails in many ways: a closed channel, a worker that is gone. All of them mean that it stopped.
    if (stoppedBy !== undefined) throw new KindredError("cancelled", stopped(output, resumes), {}, error);
    throw error;
  } finally {
    progress.close();
  }
}

function stopped({ command = "kindred" }: OutputOptions, resumes: boolean): string {
  if (!resumes) return "stopped";
  const words = process.argv.slice(2).filter((word) => word !== "--force");
  const quoted = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return `stopped; to resume, run again: ${command} ${quoted.join(" ")}`;
}

/** Writes a result to stdout, all of it before the process ends. */
export async function printResult(value: unknown, { json }: OutputOptions, text: () => string): Promise<void> {
  const output = json ? JSON.stringify(value, null, 2) : text();
  await new Promise<void>((done, fail) => {
    process.stdout.write(`${output.trimEnd()}\n`, (error) => (error ? fail(error) : done()));
  });
}

/** Says on stderr what went wrong, on one line unless `debug`. @returns the exit code */
export function reportError(error: unknown, debug: boolean): number {
  const code = exitCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const hint = code === 1 && !debug ? "; --debug shows where" : "";
  process.stderr.write(`kindred: ${oneLine(message)}${hint}\n`);
  if (debug) {
    for (let cause = error; cause instanceof Error; cause = cause.cause) process.stderr.write(`${cause.stack}\n`);
  }
  return code;
}
