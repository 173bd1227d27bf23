import assert from "node:assert/strict";
import { test } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { ClientWork } from "../../../client/tasks/runner.js";
import { CompiledGraphs } from "../../../client/tuning/compiled-graphs.js";
import { FULL } from "../../../shared/adapters/settings.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { trainTask } from "../../support/federation.js";
import { TINY_MODEL } from "../../support/tiny.js";

test("a client that is not told that it is simulated trains no embedding, which would tell its words", async () => {
  const runtime = new OnnxRuntime({ threads: 1 });
  const compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(TINY_MODEL));
  const dataset = () => assert.fail("no row is read");
  const io = { download: () => assert.fail(), progress: () => {}, signal: new AbortController().signal };
  const task = { ...trainTask(), adapter: { ...FULL, initSeed: 0 } };
  await assert.rejects(new ClientWork({ compiledGraphs, dataset }).run(task, io), {
    code: "unsupported",
    message: /^this client trains adapters; all weights are trained in simulations alone$/,
  });
  await assert.rejects(new ClientWork({ compiledGraphs, dataset, full: true }).run(task, io), /no row is read/);
  await runtime.close();
});
