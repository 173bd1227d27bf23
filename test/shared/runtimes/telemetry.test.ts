/** ONNX Runtime loads with its telemetry off, in every thread, or does not load. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { systemEnvironment } from "../../../shared/runtimes/onnx/library.js";

const SWITCH = "ORT_DISABLE_TELEMETRY";
const module = (name: string): string => JSON.stringify(new URL(`../../../shared/${name}`, import.meta.url).href);

/** Runs a program with an empty home, as a user's machine runs it: without the switch and outside of CI. @returns files of the home */
function filesLeftBy(program: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "kindred-home-"));
  try {
    const file = join(folder, "program.mjs");
    writeFileSync(file, program);
    const HOME = join(folder, "home");
    mkdirSync(HOME);
    const { CI: _ci, [SWITCH]: _off, XDG_CACHE_HOME: _cache, ...env } = process.env;
    const { status, stderr } = spawnSync(process.execPath, [file], { env: { ...env, HOME }, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return readdirSync(HOME, { recursive: true, encoding: "utf8" }).sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const GRAPH = `
  import { GraphBuilder } from ${module("graph/graph.js")};
  const g = new GraphBuilder();
  const graph = g.build({ y: g.scale(g.input("x", [2]), 3) });
`;

test("a runtime leaves nothing in the home folder", { skip: process.platform !== "linux" && "Linux alone" }, () => {
  const program = `${GRAPH}
    import { OnnxRuntime } from ${module("runtimes/onnx/runtime.js")};
    const runtime = new OnnxRuntime();
    const executable = await runtime.compile(graph);
    const { tensors } = await executable.run({ x: { shape: [2], data: Float32Array.of(1, 2) } });
    if (tensors.y.data.join() !== "3,6") throw new Error("wrong product");
    await runtime.close();`;
  assert.deepEqual(filesLeftBy(program), []);
});

test("positive control: the library by itself leaves files there", {
  skip: process.platform !== "linux" && "Linux alone",
}, () => {
  const library = JSON.stringify(createRequire(import.meta.url).resolve("onnxruntime-node"));
  const program = `${GRAPH}
    import { createRequire } from "node:module";
    import { encodeOnnx } from ${module("runtimes/onnx/encode.js")};
    const ort = createRequire(import.meta.url)(${library});
    await ort.InferenceSession.create(encodeOnnx(graph).model);`;
  assert.match(filesLeftBy(program).join("\n"), /onnxruntime/);
});

/** What a worker thread of this process gets when it loads the library: "loaded", or the error's message. */
async function loadedBy(worker: ConstructorParameters<typeof Worker>[1], before = ""): Promise<string> {
  const program = `
    const { parentPort } = require("node:worker_threads");
    ${before}
    import(${module("runtimes/onnx/library.js")})
      .then(({ loadOnnxRuntime }) => loadOnnxRuntime())
      .then(() => parentPort.postMessage("loaded"), (error) => parentPort.postMessage(error.message));`;
  const thread = new Worker(program, { eval: true, ...worker });
  try {
    return await new Promise<string>((done, failed) => {
      thread.once("message", done);
      thread.once("error", failed);
    });
  } finally {
    await thread.terminate();
  }
}

test("a worker thread whose environment is a copy loads the library only where the process has the switch", async () => {
  const had = process.env[SWITCH];
  try {
    delete process.env[SWITCH];
    assert.equal(systemEnvironment()[SWITCH], undefined);
    assert.match(await loadedBy({}), /start the process with ORT_DISABLE_TELEMETRY=1/);
    // Its own word for it does not do: the library does not read this copy.
    const pretended = await loadedBy({ env: { ...process.env, [SWITCH]: "1" } }, `process.env.${SWITCH} = "1";`);
    assert.match(pretended, /cannot be switched off from a worker thread/);
    assert.equal(systemEnvironment()[SWITCH], undefined);
    assert.equal(await loadedBy({ env: SHARE_ENV }), "loaded");
    assert.equal(systemEnvironment()[SWITCH], "1");
    assert.equal(await loadedBy({}), "loaded");
  } finally {
    if (had === undefined) delete process.env[SWITCH];
    else process.env[SWITCH] = had;
  }
});
