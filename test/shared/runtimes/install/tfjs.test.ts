/** What `runtime add tfjs` asks of the machine before it fetches anything; the whole of it is in tfjs.long.test.ts. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLog } from "../../../../shared/base/log.js";
import { silentProgress } from "../../../../shared/base/progress.js";
import { addRuntime } from "../../../../shared/runtimes/install/runtimes.js";
import { WheelServer } from "../../../support/wheel-server.js";

const skip = process.platform !== "linux" && "tfjs can be added on Linux alone";

test("without a C++ compiler nothing is fetched, and the message says how to get one", { skip }, async () => {
  const cache = await mkdtemp(join(tmpdir(), "kindred-tfjs-"));
  const server = await WheelServer.start([]);
  const compiler = process.env.CXX;
  process.env.CXX = "no-such-compiler";
  try {
    const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
    await assert.rejects(addRuntime("tfjs", { cache, index: server.index }, context), {
      code: "unsupported",
      message: /^no-such-compiler is not on this machine; .*apt install g\+\+.*CXX$/,
    });
    assert.deepEqual(server.requests, []);
    await assert.rejects(addRuntime("cuda", { cache, gpu: true }, context), { code: "invalid_option" });
    assert.deepEqual(await readdir(join(cache, "runtimes")), []);
  } finally {
    if (compiler === undefined) delete process.env.CXX;
    else process.env.CXX = compiler;
    await server.stop();
    await rm(cache, { recursive: true });
  }
});
