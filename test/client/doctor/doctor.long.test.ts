/** The doctor on this machine, and on one whose libraries crash, lie or hang. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { anythingWorks, type Diagnosis, diagnose, diagnosisText } from "../../../client/doctor/doctor.js";
import type { JobContext } from "../../../shared/base/command.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { CANDIDATES } from "../../../shared/runtimes/choose.js";

const program = fileURLToPath(new URL("../../../kindred.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kindred-doctor-"));
after(() => rmSync(folder, { recursive: true }));
const context = (signal = new AbortController().signal): JobContext => ({
  log: silentLog,
  progress: silentProgress,
  signal,
});

const options = process.env.NODE_OPTIONS;
afterEach(() => {
  process.env.NODE_OPTIONS = options ?? "";
});

/** Has every process started from here run a script first, which sees the way to compute as `name`. */
function sabotage(script: string): void {
  const file = join(folder, "sabotage.cjs");
  writeFileSync(file, `const name = process.argv[2], { isMainThread } = require("node:worker_threads");\n${script}`);
  process.env.NODE_OPTIONS = `--require ${file}`;
}

const finding = ({ findings }: Diagnosis, name: string) => findings.find((each) => each.name === name)!;

test("every runtime is tested, and working runtimes give the same loss and gradient", () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, "doctor", "--json", "--quiet"], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  assert.deepEqual(diagnosis.findings.map(({ name }) => name).sort(), CANDIDATES.map(({ name }) => name).sort());
  assert.equal(diagnosis.reference, "onnx-cpu");
  assert.equal(finding(diagnosis, "onnx-cpu").state, "works");
  // Of the npm packages: these work everywhere.
  for (const name of ["tfjs-wasm", "tfjs-cpu"]) {
    const { state, lossError, gradientError } = finding(diagnosis, name);
    assert.equal(state, "works", name);
    // Held to what float32 gives, not to the doctor's own bounds.
    assert.ok(lossError! < 1e-5 && gradientError! < 1e-4, `${name}: ${lossError}, ${gradientError}`);
  }
  for (const { name, state, why } of diagnosis.findings) assert.equal(state !== "works", why !== undefined, name);
  const text = diagnosisText(diagnosis);
  assert.match(text, /^onnx-cpu +works +reference/m);
  assert.match(text, /node \d+/);
});

test("a library that ends its process, or computes wrong numbers, is reported, and the other runtimes are still tested", async () => {
  const missing = process.platform === "win32" ? "onnx-coreml" : "onnx-dml"; // not on this system
  sabotage(`
    if (isMainThread && !["onnx-cpu", "tfjs-wasm", "tfjs-cpu", "${missing}"].includes(name)) process.exit(3);
    if (name === "tfjs-wasm" && isMainThread) {
      process.stderr.write("libbroken.so: wrong ELF class\\n");
      process.kill(process.pid, "SIGSEGV");
    }
    if (name === "${missing}" && isMainThread) process.stderr.write("[E] Failed to load library a.so with error: libb.so: gone\\n");
    const send = process.send;
    if (name === "tfjs-cpu" && send) process.send = (message, ...rest) => {
      message.result.gradient[0] += 1;
      return send.call(process, message, ...rest);
    };`);
  const diagnosis = await diagnose(context());
  assert.match(
    finding(diagnosis, "tfjs-wasm").why ?? "",
    /^its process ended with SIGSEGV: libbroken\.so: wrong ELF class$/,
  );
  assert.equal(finding(diagnosis, "tfjs-wasm").state, "broken");
  assert.deepEqual([finding(diagnosis, missing).state, finding(diagnosis, missing).why], ["absent", "libb.so: gone"]);
  const wrong = finding(diagnosis, "tfjs-cpu");
  assert.equal(wrong.state, "wrong");
  assert.ok(wrong.gradientError! > 0.01 && wrong.lossError! < 1e-5);
  assert.equal(finding(diagnosis, "onnx-cpu").state, "works");
  assert.ok(anythingWorks(diagnosis));
  assert.match(diagnosisText(diagnosis), /^tfjs-cpu: its loss or gradient is not that of onnx-cpu$/m);
});

test("where no runtime works, the report is complete, and the exit code is 1", () => {
  sabotage(`if (isMainThread && process.argv[1].endsWith("trial.js")) process.exit(3);`);
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, "doctor", "--json", "--quiet"], {
    encoding: "utf8",
  });
  assert.equal(status, 1);
  assert.match(stderr, /no runtime works on this machine/);
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  assert.equal(diagnosis.reference, null);
  assert.ok(
    diagnosis.findings.every(({ state, why }) => state === "broken" && why === "its process ended with code 3"),
  );
});

test("a process that does not answer is ended in time, and a stop ends the doctor", async () => {
  sabotage(`if (isMainThread && process.argv[1].endsWith("trial.js")) for (;;);`);
  const diagnosis = await diagnose(context(), 100);
  assert.ok(diagnosis.findings.every(({ state }) => state === "broken"));
  assert.match(finding(diagnosis, "onnx-cpu").why ?? "", /did not answer within 0\.1 s/);
  assert.equal(anythingWorks(diagnosis), false);
  await assert.rejects(diagnose(context(AbortSignal.timeout(50))), { code: "cancelled" });
});
