import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./process-job.js", import.meta.url));

/** Runs the job, sends each signal once its output, stdout or stderr, matches, and says how it ended. */
async function run(behaviour: string, ...signals: [NodeJS.Signals, RegExp][]) {
  return runWith([behaviour, "a b"], ...signals);
}

async function runWith(words: readonly string[], ...signals: [NodeJS.Signals, RegExp][]) {
  const child = spawn(process.execPath, [script, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr, ended] = ["", "", false];
  let written: () => void = () => undefined;
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
    written();
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
    written();
  });
  const end = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  child.on("close", () => {
    ended = true;
    written();
  });
  for (const [name, after] of signals) {
    while (!ended && !after.test(stdout + stderr)) {
      await new Promise<void>((resolve) => {
        written = resolve;
      });
    }
    child.kill(name);
  }
  const [code, signal] = await end;
  return { code, signal, stdout: stdout.replace("ready\n", ""), stderr };
}

const READY = /^ready$/m;
const STOPPING = /stopping/;
const RESUME = /^kindred: stopped; to resume, run again: kindred .+'a b'$/m;

test("Ctrl-C stops a job, which ends with 130 and says how to resume", async () => {
  for (const behaviour of ["stop", "fail on stop"]) {
    const { code, stdout, stderr } = await run(behaviour, ["SIGINT", READY]);
    assert.equal(code, 130);
    assert.equal(stdout, "");
    assert.match(stderr, RESUME);
    assert.doesNotMatch(stderr, /channel|^ {4}at /m);
  }
});

test("a second Ctrl-C ends a job at once, but not one that npm passes on with the first", async () => {
  const { code, stderr } = await run("deaf", ["SIGINT", READY], ["SIGINT", STOPPING]);
  assert.equal(code, 130);
  assert.match(stderr, RESUME);
  const twin = await run("twin", ["SIGINT", READY], ["SIGINT", STOPPING]);
  assert.equal(twin.code, 0);
});

test("where the reader of a result does not read, a later Ctrl-C ends the process", async () => {
  const { code, signal } = await run("unread", ["SIGINT", READY], ["SIGINT", /^unread$/m]);
  assert.deepEqual({ code, signal }, { code: null, signal: "SIGINT" });
});

test("a job that ends well in spite of Ctrl-C is done", async () => {
  const { code, stdout } = await run("finish", ["SIGINT", READY]);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { done: true });
});

test("with a log in JSON each line of stderr is one object, to the end", async () => {
  const { code, stderr } = await runWith(["stop", "--log-format", "json"], ["SIGINT", READY]);
  assert.equal(code, 130);
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: string; message: string; fields: { state?: string } });
  assert.deepEqual(
    lines.map(({ level, message, fields }) => [level, message.replace(/:.*/, ""), fields.state]),
    [
      ["info", "stopping; Ctrl-C again stops at once", undefined],
      ["info", "work", "stopped"],
      ["error", "stopped; to resume, run again", undefined],
    ],
  );
});

test("an end by another process has its own exit code", async () => {
  assert.equal((await run("stop", ["SIGTERM", READY])).code, 143);
});

test("a failure ends with 1, on one line and without a stack", async () => {
  const { code, stdout, stderr } = await run("fail");
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^kindred: broken in two lines; --debug shows where$/m);
  assert.doesNotMatch(stderr, /^ {4}at /m);
});
