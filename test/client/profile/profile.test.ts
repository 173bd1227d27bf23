/** The command on a tiny model: its numbers, a measurement that dies, and that no process outlives it. */
import assert from "node:assert/strict";
import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Profile, profile, profileText } from "../../../client/profile/profile.js";
import type { Setting } from "../../../client/profile/work.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { DEFAULT_RUNTIME } from "../../../shared/runtimes/types.js";

const at = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kindred-profile-"));
after(() => rmSync(folder, { recursive: true }));

const options = process.env.NODE_OPTIONS;
afterEach(() => {
  process.env.NODE_OPTIONS = options ?? "";
});

/** Has every process of a measurement run a script first, which sees the work as `work`. */
function sabotage(script: string): void {
  const file = join(folder, "sabotage.cjs");
  const guard = `if (require("node:worker_threads").isMainThread && (process.argv[2] ?? "").startsWith("{"))`;
  writeFileSync(file, `${guard} { const { work } = JSON.parse(process.argv[2]); ${script} }`);
  process.env.NODE_OPTIONS = `--require ${file}`;
}

const setting: Setting = {
  model: asset("test", "fixtures", "llama", "tied"),
  quantization: "none",
  adapter: { rank: 4, modules: [] },
  batch: { rows: 2, tokens: 12, scored: 3 },
  runtime: { ...DEFAULT_RUNTIME, threads: 1 },
};

test("each measurement has its own time, operations and memory; one that dies is reported, and the others are complete", () => {
  sabotage(`if (work.kind === "train") process.kill(process.pid, "SIGKILL");`);
  const { model } = setting;
  const words = ["--model", model, "--rank", "4", "--members", "3", "--batch", "2", "--tokens", "12", "--scored", "3"];
  const { stdout, stderr, status } = spawnSync(process.execPath, [at("kindred.js"), "profile", ...words, "--json"], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  const result = JSON.parse(stdout) as Profile;
  assert.deepEqual(
    result.measurements.map((each) => [each.kind, "why" in each]),
    [
      ["forward", false],
      ["train", true],
      ["sketch", false],
    ],
  );
  for (const each of result.measurements) {
    if ("why" in each) {
      assert.match(each.why, /was killed, perhaps for lack of memory/);
      continue;
    }
    const { flops, seconds, tokensPerSecond, peakRssBytes } = each;
    assert.ok(Math.abs(flops.analytic / flops.counted - 1) < 0.1, JSON.stringify(flops));
    assert.ok(seconds > 0 && Math.abs(tokensPerSecond * seconds - 24) < 1e-6);
    // Node and ONNX Runtime alone are some 100 MB; the model is a few kilobytes.
    assert.ok(peakRssBytes > 5e7 && peakRssBytes < 1e9, `${peakRssBytes} bytes`);
  }
  const text = profileText(result, { color: false });
  assert.match(text, /^forward, 3 adapters +\d/m);
  assert.match(text, /^training step: not measured, its process was killed/m);
  assert.match(stderr, / info measure: work sketching, \d+ s$/m);
});

test("a stop ends the running measurement, and no process is left", async () => {
  const told = join(folder, "pid");
  sabotage(`require("node:fs").writeFileSync(${JSON.stringify(told)}, String(process.pid)); for (;;) {}`);
  const abort = new AbortController();
  const context = { log: silentLog, progress: silentProgress, signal: abort.signal };
  const run = assert.rejects(profile({ ...setting, members: [1] }, context), { code: "cancelled" });
  while (!existsSync(told) || readFileSync(told, "utf8") === "") await sleep(10);
  const pid = Number(readFileSync(told, "utf8"));
  assert.ok(process.kill(pid, 0), "it is there before");
  abort.abort();
  await run;
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("a measurement whose parent has ended ends itself", async () => {
  const job = JSON.stringify({ setting, work: { kind: "forward", members: 1 } });
  const child = fork(at("client/profile/child.js"), [job], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const end = once(child, "exit");
  child.disconnect();
  assert.deepEqual(await end, [null, "SIGKILL"]);
});

test("a batch that the model cannot read is refused before anything is measured", async () => {
  const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  const batch = { rows: 1, tokens: 65, scored: 1 };
  await assert.rejects(profile({ ...setting, batch, members: [1] }, context), {
    code: "invalid_option",
    message: "--tokens is 65; the model reads at most 64",
  });
});
