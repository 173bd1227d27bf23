/** CompiledGraphs of the machine that an installation calls: npm and the C++ compiler. */
import { spawn } from "node:child_process";
import { KindredError } from "../../base/errors.js";

/** The last words of a program that failed; more would not be read. */
const MAX_OUTPUT = 4000;

export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** What to do where the program is missing. */
  readonly missing?: string;
}

/**
 * Runs a program to its end. @returns its last output
 * @throws {KindredError} `unsupported` (it is missing), `unavailable` (it failed, with its last words), `cancelled`
 */
export function runTool(command: string, args: readonly string[], options: ToolOptions = {}): Promise<string> {
  const { cwd, env, signal, timeoutMs, missing } = options;
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString("utf8")).slice(-MAX_OUTPUT);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (signal?.aborted) fail(new KindredError("cancelled", `stopped ${command}`, {}, error));
      else if (error.code === "ENOENT")
        fail(new KindredError("unsupported", `${command} is not on this machine${missing ? `; ${missing}` : ""}`));
      else fail(new KindredError("unavailable", `${command} could not be run (${error.message})`, {}, error));
    });
    child.on("close", (code, stopped) => {
      if (code === 0) return done(output);
      const how = code === null ? `was ended by ${stopped}` : `ended with code ${code}`;
      fail(new KindredError("unavailable", `${command} ${how}: ${output.trim()}`, { command, code }));
    });
  });
}
