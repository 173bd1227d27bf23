#!/usr/bin/env node
/** The command line: parses, dispatches and ends the process. Commands are in cli/; nothing else of Kindred ends a process. */
import { outputOf, reportError, watchProcess } from "./cli/process.js";
import { runCommandLine } from "./cli/program.js";

const words = process.argv.slice(2);
const output = outputOf(words);
watchProcess(output, (code) => process.exit(code));
const code = await runCommandLine(words).then(
  () => 0,
  (error: unknown) => reportError(error, output),
);
// Not left to node: a worker or a socket that a failed job forgot would keep the process alive.
process.exit(code);
