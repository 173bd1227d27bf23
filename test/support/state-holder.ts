/** Another process that holds a state, and a listing of the state's folder. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** Every file below the folder, with size and time of the last change. */
export function listing(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .sort()
    .map((name) => [name, statSync(join(folder, name)).size, statSync(join(folder, name)).mtimeMs].join(" "));
}

/** A process that holds the state and writes a memo, a blob and an event per `write`. */
export async function coordinatorAt(folder: string, t: TestContext) {
  const child = spawn(process.execPath, [fileURLToPath(new URL("./state-writer.js", import.meta.url)), folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  t.after(kill);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => String((await lines.next()).value);
  assert.equal(await answer(), "open");
  const write = async (value: string) => {
    child.stdin.write(`${value}\n`);
    assert.equal(await answer(), value);
  };
  const end = async () => {
    child.stdin.end();
    await exited;
  };
  return { write, kill, end };
}
