/** A process that runs command lines one after the other, for `commands.ts`: as kindred.ts does, but it goes on after each. */
import { outputOf, reportError } from "../../cli/process.js";
import { runCommandLine } from "../../cli/program.js";
import type { CommandLine, CommandResult } from "./commands.js";

process.setMaxListeners(0); // every job listens to signals

let written = { stdout: "", stderr: "" };
for (const name of ["stdout", "stderr"] as const) {
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    const done = rest.find((each) => typeof each === "function");
    if (done !== undefined) process.nextTick(done as () => void);
    return true;
  };
}

process.on("message", ({ words, cwd }: CommandLine) => {
  written = { stdout: "", stderr: "" };
  process.chdir(cwd);
  const output = outputOf(words);
  void runCommandLine(words)
    .then(
      () => 0,
      (error: unknown) => reportError(error, output),
    )
    .then((code) => process.send?.({ code, ...written } satisfies CommandResult));
});
