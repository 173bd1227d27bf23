/**
 * Kindred's command line without a process per command: starting node and loading the program is most of the time that a mistake
 * in the words takes. Where the process itself is what is tested, `processes.ts` starts one.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface CommandLine {
  /** The words behind the program's name. */
  readonly words: readonly string[];
  readonly cwd: string;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const HOST = fileURLToPath(new URL("./command-host.js", import.meta.url));

/** Without a terminal, wherever the tests run. */
function open(): ChildProcess {
  const host = fork(HOST, { execArgv: ["--enable-source-maps"], stdio: ["ignore", "pipe", "pipe", "ipc"] });
  host.stderr?.pipe(process.stderr);
  return host;
}

/** Runs command lines one after the other, in one process that starts with the first of them. */
export class Commands {
  private host: ChildProcess | undefined;
  private last: Promise<unknown> = Promise.resolve();

  /** Runs `kindred` with these words to its end. */
  run(words: readonly string[], cwd = process.cwd()): Promise<CommandResult> {
    const result = this.last.then(() => this.answer({ words, cwd }));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Ends the process. */
  close(): void {
    this.host?.kill("SIGKILL");
  }

  private async answer(line: CommandLine): Promise<CommandResult> {
    const host = this.host ?? open();
    this.host = host;
    const end = new AbortController();
    const { signal } = end;
    const died = once(host, "exit", { signal }).then(([code]) => {
      throw new Error(`kindred ${line.words.join(" ")} ended the process of all command lines with code ${code}`);
    });
    try {
      const answered = once(host, "message", { signal });
      host.send(line);
      const [result] = await Promise.race([answered, died]);
      return result as CommandResult;
    } finally {
      died.catch(() => undefined);
      end.abort();
    }
  }
}
