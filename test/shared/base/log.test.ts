/** The logger of the library and of the command line. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { detailsOf, type Logger } from "../../../shared/base/log.js";

const log = fileURLToPath(new URL("../../../shared/base/log.js", import.meta.url));

/** Runs a module that can import `log.js`. @returns its output */
function run(code: string): { stdout: string; stderr: string } {
  const source = `const { createLog, silentLog } = await import(${JSON.stringify(log)});\n${code}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", source], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return { stdout, stderr };
}

/** A logger that records its events. */
function recording(said: unknown[], bound: object = {}): Logger {
  const at = (level: string) => (message: string, fields?: object) =>
    void said.push([level, message, { ...bound, ...fields }]);
  const child = (fields: object): Logger => recording(said, { ...bound, ...fields });
  return { error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug"), child };
}

test("the command line's log goes to stderr, from its level on, with a child's fields", () => {
  const { stdout, stderr } = run(`
    const log = await createLog({ level: "info", format: "json" });
    log.child({ client: "harbour" }).info("update accepted", { round: 3 });
    log.debug("not said");
    log.error("failed", { nested: { a: 1 } });`);
  assert.equal(stdout, "");
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    lines.map(({ time, ...rest }) => rest),
    [
      { level: "info", message: "update accepted", fields: { client: "harbour", round: 3 } },
      { level: "error", message: "failed", fields: { nested: { a: 1 } } },
    ],
  );
  for (const { time } of lines) assert.equal(new Date(time as string).toISOString(), time);
});

test("a line of text ends with the fields", () => {
  const { stderr } = run(`(await createLog()).warn("late", { round: 3, who: ["a"] });`);
  assert.match(stderr, /^\d{4}-\d\d-\d\dT\S+ warn late round=3 who=\["a"\]\n$/);
});

test("on a terminal a line has the time of day, its level unless it is news, and its fields in words", () => {
  const { stderr } = run(`
    const log = await createLog({ format: "terminal", write: (line) => process.stderr.write(line + "|\\n") });
    log.child({ client: "harbour" }).info("client enrolled", { trainingRows: 24, of: undefined });
    log.warn("late\\u001b[2J", { loss: 0.81234 });
    log.info("waiting");`);
  assert.deepEqual(
    stderr
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/^\d\d:\d\d:\d\d /, "")),
    ["client enrolled: client harbour, training rows 24|", "warning: late\ufffd[2J: loss 0.812|", "waiting|"],
  );
});

test("a line of text stays one line, and controls no terminal, whatever the other side says", () => {
  const said = "x\u001b[2J\r\n2026-01-01T00:00:00Z info run finished\u009b2J\u202egnp";
  const { stderr } = run(`(await createLog()).warn("task failed", { reason: ${JSON.stringify(said)} });`);
  assert.match(stderr, /^\S+ warn task failed reason=x\ufffd\[2J 2026-\S+ info run finished\ufffd2J\ufffdgnp\n$/);
});

test("a line of JSON has each control character as an escape, so that it reads as what was said and controls no terminal", () => {
  const said = "x\u001b[2J\r\n\u009b2J\u007f\u2028\u202egnp\u2066";
  const { stderr } = run(
    `(await createLog({ format: "json" })).warn("task failed", { reason: ${JSON.stringify(said)} });`,
  );
  assert.doesNotMatch(stderr.trimEnd(), /[\p{Cc}\p{Cf}\u2028]/u);
  assert.equal((JSON.parse(stderr) as { fields: { reason: string } }).fields.reason, said);
});

test("the silent log writes nothing and does not load winston, which createLog loads", () => {
  const loaded = `console.log(Object.keys((await import("node:module")).createRequire(${JSON.stringify(log)}).cache).some((path) => path.includes("winston")));`;
  const quiet = run(`silentLog.child({ a: 1 }).error("x", { b: 2 }); silentLog.info("y");\n${loaded}`);
  assert.deepEqual(quiet, { stdout: "false\n", stderr: "" });
  assert.equal(run(`await createLog();\n${loaded}`).stdout, "true\n");
});

test("detailsOf turns info into debug, in children too", () => {
  const said: unknown[] = [];
  const details = detailsOf(recording(said));
  details.info("a", { x: 1 });
  details.child({ client: "c" }).info("b");
  details.warn("w");
  details.child({ client: "c" }).error("e");
  assert.deepEqual(said, [
    ["debug", "a", { x: 1 }],
    ["debug", "b", { client: "c" }],
    ["warn", "w", {}],
    ["error", "e", { client: "c" }],
  ]);
});
