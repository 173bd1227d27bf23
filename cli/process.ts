/**
 * How a process behaves at its terminal: results go to stdout and all else to stderr, a mistake is one line, Ctrl-C stops the
 * job and says how to resume, the exit code is true. Knows no command, and ends no process: it returns exit codes.
 */
import { setMaxListeners } from "node:events";
import type { JobContext } from "../shared/base/command.js";
import { DISK_REMEDIES, DISK_TROUBLES, type DiskTrouble, diskTrouble } from "../shared/base/disk.js";
import { exitCodeOf, KindredError } from "../shared/base/errors.js";
import { reasonOf } from "../shared/base/json.js";
import { formatLine, type Logger } from "../shared/base/log.js";
import type { Progress } from "../shared/base/progress.js";
import { oneLine, shellWord } from "../shared/base/terminal.js";

export interface OutputOptions {
  readonly debug?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
  /** Form of what goes to stderr. @default "text" */
  readonly logFormat?: "text" | "json";
  /** How a user starts this program, for the word on resuming. @default "kindred" */
  readonly command?: string;
}

/** What the words say of the output, also where they are a mistake that has yet to be reported. */
export function outputOf(words: readonly string[]): Pick<OutputOptions, "debug" | "logFormat"> {
  const json = words.some(
    (word, at) => word === "--log-format=json" || (word === "--log-format" && words[at + 1] === "json"),
  );
  return { debug: words.includes("--debug"), logFormat: json ? "json" : "text" };
}

/** Between two Ctrl-C. npm passes a terminal's Ctrl-C on to us, who have it from the terminal already. */
const SAME_KEY_MS = 300;

/** A job that has not stopped by then is ended; a run resumes after any kind of end. */
const STOP_MS = 20_000;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** The signal that asked the running job to stop. */
let stoppedBy: keyof typeof EXIT_CODES | undefined;

/** Whether colours may be written: to a terminal that shows them, unless NO_COLOR is set (no-color.org). */
export function wantsColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

export interface Screen {
  readonly color: boolean;
  /** Columns. */
  readonly width: number;
  /** Undefined where results are not written to a terminal. */
  readonly rows: number | undefined;
}

/** The terminal that results are written to. */
export function screen(): Screen {
  const { columns, rows } = process.stdout;
  return { color: wantsColour(process.stdout), width: columns ?? 80, rows };
}

/**
 * Calls `exit` where this process cannot go on: nobody reads its output any longer (`| head`), which is no error; its output cannot be
 * written (a full disk); or an error reached no handler.
 */
export function watchProcess(output: Pick<OutputOptions, "debug" | "logFormat">, exit: (code: number) => void): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return exit(0);
    const message = `stdout cannot be written (${reasonOf(error)}); the result is lost or incomplete`;
    exit(reportError(new KindredError("unavailable", message, {}, error), output));
  });
  // Of an error of stderr nobody can be told. The job goes on.
  process.stderr.on("error", () => {});
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => exit(reportError(error, output)));
  }
}

/**
 * Gives a job its log, its progress and its signal, and stops it on Ctrl-C. Call it once per process. It never ends the process:
 * it rejects, also where a job that was stopped does not come to an end, and its caller then ends the process.
 * @param options `resumes`: the same command continues where it was stopped
 * @throws {KindredError} `cancelled`, saying how to resume, where the job was stopped
 */
export async function runJob<T>(
  output: OutputOptions,
  job: (context: JobContext) => Promise<T>,
  { resumes = false }: { readonly resumes?: boolean } = {},
): Promise<T> {
  const { log, progress, print } = await openDisplay(output);
  const abort = new AbortController();
  setMaxListeners(0, abort.signal); // every task under way listens: node would take a run of many clients for a leak
  const stop = stopOnSignals(abort, print);
  // Also where the process ends in the middle of a job: the cursor must come back.
  process.once("exit", progress.close);
  try {
    return await Promise.race([job({ log, progress, signal: abort.signal }), stop.atOnce]);
  } catch (error) {
    // A stopped job fails in many ways: a closed channel, a worker that is gone. All of them mean that it stopped.
    if (stoppedBy !== undefined) throw new KindredError("cancelled", stopped(output, resumes), {}, error);
    throw diskErrorOf(error, resumes ? again(output) : undefined);
  } finally {
    stop.jobEnded();
    process.off("exit", progress.close);
    progress.close();
  }
}

/** What a job says while it runs: all of it goes to stderr. */
interface Display {
  readonly log: Logger;
  readonly progress: Progress;
  /** Writes a line of news for the user. */
  print(line: string): void;
}

/** Bars and lines on a terminal, else a log. Loaded here: `--help` and mistakes need neither. */
async function openDisplay({ debug, quiet, logFormat }: OutputOptions): Promise<Display> {
  const [{ createLog }, { createBars }, { createProgressLines }, { silentProgress }] = await Promise.all([
    import("../shared/base/log.js"),
    import("../shared/base/bars.js"),
    import("../shared/base/progress-lines.js"),
    import("../shared/base/progress.js"),
  ]);
  const { stderr } = process;
  const level = debug ? "debug" : quiet ? "error" : "info";
  if (logFormat !== "json" && stderr.isTTY && process.env.TERM !== "dumb") {
    const { print, ...bars } = createBars({ stream: stderr });
    const log = await createLog({ level, format: "terminal", write: print });
    return { log, progress: quiet ? silentProgress : bars, print };
  }
  const json = logFormat === "json";
  const log = await createLog({ level, format: json ? "json" : "text" });
  const say = (name: string, words: string, fields: object): void =>
    json ? log.info(name, fields) : log.info(`${name}: ${words}`);
  const print = (line: string): void => void stderr.write(`${json ? formatLine("json", "info", line) : line}\n`);
  return { log, progress: quiet ? silentProgress : createProgressLines({ say }), print };
}

/** `atOnce` rejects when the job is not waited for any longer: after a second Ctrl-C, or `STOP_MS` after the first. */
function stopOnSignals(
  abort: AbortController,
  print: Display["print"],
): { readonly atOnce: Promise<never>; jobEnded(): void } {
  let running = true;
  let firstMs = 0;
  let giveUp = (): void => {};
  const atOnce = new Promise<never>((_, fail) => {
    giveUp = () => fail(new KindredError("cancelled", "stopped"));
  });
  const stop = (signal: keyof typeof EXIT_CODES): void => {
    if (stoppedBy !== undefined) {
      if (Date.now() - firstMs <= SAME_KEY_MS) return;
      giveUp();
      // The result is being written, and its reader does not read: the signal has its usual effect.
      if (!running) process.off(signal, stop).kill(process.pid, signal);
      return;
    }
    stoppedBy = signal;
    firstMs = Date.now();
    print(`stopping${signal === "SIGINT" ? "; Ctrl-C again stops at once" : ""}`);
    abort.abort(new KindredError("cancelled", "stopped"));
    setTimeout(giveUp, STOP_MS).unref();
  };
  // Never taken off: a signal that npm passes on late must not end a process that is printing its result.
  for (const signal of Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]) process.on(signal, stop);
  return {
    atOnce,
    jobEnded: () => {
      running = false;
    },
  };
}

function stopped(output: OutputOptions, resumes: boolean): string {
  return resumes ? `stopped; to resume, run again: ${again(output)}` : "stopped";
}

/** The words of this command, to be typed again. */
function again({ command = "kindred" }: OutputOptions): string {
  const words = process.argv.slice(2).filter((word) => word !== "--force");
  return [command, ...words.map(shellWord)].join(" ");
}

/** An error of this machine's disk as one that says what to do; any other as it is. @param command resumes the job */
function diskErrorOf(error: unknown, command: string | undefined): unknown {
  const known = error instanceof KindredError ? error : undefined;
  const stated = known?.code === "state_unavailable" ? String(known.facts.trouble) : "";
  const trouble = diskTrouble(error) ?? (Object.hasOwn(DISK_TROUBLES, stated) ? (stated as DiskTrouble) : undefined);
  if (trouble === undefined || !(error instanceof Error)) return error;
  const problem = `this machine ${DISK_TROUBLES[trouble]} (${error.message}); ${DISK_REMEDIES[trouble]}`;
  const remedy = command === undefined ? "" : `; then, to resume, run again: ${command}`;
  return new KindredError(
    known?.code ?? "state_unavailable",
    `${known?.message ?? problem}${remedy}`,
    known?.facts,
    error,
  );
}

/**
 * Asks on the terminal, and goes on after a yes.
 * @param option answers yes in advance
 * @throws {KindredError} `cancelled` after another answer, `invalid_option` where there is no terminal to ask on
 */
export async function confirm(question: string, option: string): Promise<void> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) {
    throw new KindredError("invalid_option", `${question} There is no terminal to ask on; add ${option} to do it`);
  }
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: stdin, output: stderr });
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve("\n")));
  const answer = await Promise.race([terminal.question(`${question} [y/N] `), closed]);
  terminal.close();
  // After Ctrl-C or Ctrl-D the cursor is still behind the question.
  if (answer === "\n") stderr.write(answer);
  if (!/^\s*y(es)?\s*$/i.test(answer)) throw new KindredError("cancelled", "nothing was done");
}

/** Writes a text to stdout. Where that fails the promise stays open: `watchProcess` ends the process, and says why. */
const write = (text: string): Promise<void> =>
  new Promise((done) => {
    process.stdout.write(text, (error) => {
      if (!error) done();
    });
  });

/** Writes a result to stdout, all of it before the process ends. */
export async function printResult(value: unknown, { json }: OutputOptions, text: () => string): Promise<void> {
  await printText(json ? JSON.stringify(value, null, 2) : text());
}

/** As `printResult`, for a text. */
export async function printText(text: string): Promise<void> {
  await write(`${text.trimEnd()}\n`);
}

/** Writes lines to stdout as they come, at the pace of their reader. */
export async function printLines(lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) await write(`${oneLine(line)}\n`);
}

/**
 * Says on stderr what went wrong, on one line unless `debug`.
 * @returns the exit code: 2 for a user's mistake, 130 after Ctrl-C, 143 after SIGTERM, else 1
 */
export function reportError(error: unknown, { debug, logFormat }: Pick<OutputOptions, "debug" | "logFormat">): number {
  const code = exitCodeOf(error);
  const message = oneLine(error instanceof Error ? error.message : String(error));
  const causes: (string | undefined)[] = [];
  if (debug) for (let cause = error; cause instanceof Error; cause = cause.cause) causes.push(cause.stack);
  if (logFormat === "json") {
    process.stderr.write(`${formatLine("json", "error", message, { code, ...(debug ? { causes } : {}) })}\n`);
  } else {
    const hint = code === 1 && !debug ? "; --debug shows where" : "";
    process.stderr.write([`kindred: ${message}${hint}`, ...causes].map((line) => `${line}\n`).join(""));
  }
  return code === EXIT_CODES.SIGINT ? EXIT_CODES[stoppedBy ?? "SIGINT"] : code;
}
