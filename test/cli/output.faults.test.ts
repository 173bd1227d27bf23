/** A stdout that cannot be written, and one that nobody reads any longer, in commands of each kind. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { asset } from "../../shared/base/assets.js";
import { jsonLines, TINY_MODEL } from "../support/tiny.js";

const FULL = "/dev/full";
const folder = mkdtempSync(join(tmpdir(), "kindred-output-"));
after(() => rmSync(folder, { recursive: true }));
const data = join(folder, "rows.jsonl");
writeFileSync(data, jsonLines(["the rain was good"]));

const COMMANDS: readonly (readonly string[])[] = [
  ["--help"],
  ["--version"],
  ["evaluate", "--help"],
  ["schema", "simulate"],
  ["evaluate", "--model", TINY_MODEL, "--data", data, "--quiet", "--json"],
];

/** Runs the command with a descriptor, or a pipe that is closed at once, as its stdout or stderr. */
async function run(words: readonly string[], { stdout, stderr }: { stdout?: number; stderr?: number }) {
  const child = spawn(process.execPath, [asset("dist", "kindred.js"), ...words], {
    stdio: ["ignore", stdout ?? "pipe", stderr ?? "pipe"],
  });
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += chunk;
  });
  if (stderr === undefined) child.stdout?.destroy();
  else child.stdout?.resume();
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said };
}

for (const words of COMMANDS) {
  const name = words.slice(0, 2).join(" ");
  test(`${name}: a full device ends it with 1 and one line`, { skip: !existsSync(FULL) }, async () => {
    const stdout = openSync(FULL, "w");
    const { code, said } = await run(words, { stdout });
    closeSync(stdout);
    assert.equal(code, 1);
    assert.match(said, /^kindred: stdout cannot be written \(no space left on the device\).*\n$/);
  });

  test(`${name}: a closed pipe ends it without a word`, async () => {
    assert.deepEqual(await run(words, {}), { code: 0, said: "" });
  });
}

test("a full device behind stderr stops no job", { skip: !existsSync(FULL) }, async () => {
  const stderr = openSync(FULL, "w");
  const { code } = await run(["evaluate", "--model", TINY_MODEL, "--data", data], { stderr });
  closeSync(stderr);
  assert.equal(code, 0);
});
