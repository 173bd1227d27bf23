/** The runtimes that work on this machine, and the choice of one. The test takes from the list what this machine lacks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CANDIDATES, listRuntimes, openRuntime } from "../../../shared/runtimes/choose.js";
import { DEFAULT_RUNTIME, DEVICES, RUNTIME_KINDS } from "../../../shared/runtimes/types.js";

const listed = await listRuntimes();
const works = (name: string): boolean => listed.some((each) => each.name === name && each.available);

test("every candidate is listed, with a reason where it does not work", () => {
  assert.deepEqual(
    listed.map(({ name }) => name),
    CANDIDATES.map(({ name }) => name),
  );
  for (const { name, available, why } of listed) assert.equal(why === undefined, available, name);
  for (const name of ["onnx-cpu", "tfjs-wasm", "tfjs-cpu"]) assert.ok(works(name), name);
});

test("every kind and device of a choice has a candidate", () => {
  const kinds = new Set<string>(["auto", ...CANDIDATES.map(({ runtime }) => runtime)]);
  const devices = new Set<string>(["auto", ...CANDIDATES.map(({ device }) => device)]);
  assert.deepEqual([...kinds].sort(), [...RUNTIME_KINDS].sort());
  assert.deepEqual([...devices].sort(), [...DEVICES].sort());
});

test("the first working candidate of a choice is opened", async () => {
  const asked = [
    ["auto", "auto", works("onnx-cuda") ? "onnx-cuda" : "onnx-cpu"],
    ["auto", "cpu", "onnx-cpu"],
    ["auto", "wasm", "tfjs-wasm"],
    ["onnx", "cpu", "onnx-cpu"],
    ["tfjs", "auto", ["tfjs-node-gpu", "tfjs-node", "tfjs-wasm"].find(works)],
    ["tfjs", "cpu", works("tfjs-node") ? "tfjs-node" : "tfjs-cpu"],
  ] as const;
  for (const [kind, device, name] of asked) {
    const runtime = await openRuntime({ kind, device, threads: 1 });
    assert.equal(runtime.name, name, `${kind} ${device}`);
    await runtime.close();
  }
});

test("a device that a runtime does not have is refused, and the message lists its devices", async () => {
  await assert.rejects(openRuntime({ ...DEFAULT_RUNTIME, kind: "onnx", device: "wasm" }), {
    code: "unsupported",
    message: "runtime onnx, device wasm: onnx has cuda, coreml, directml, webgpu, cpu; choose one of them, or auto",
  });
});

test("a runtime that does not work on this machine is refused with the reason", async () => {
  const missing = listed.find(({ available, device }) => !available && (device === "coreml" || device === "directml"));
  assert.ok(missing !== undefined); // no system has both
  await assert.rejects(openRuntime({ ...DEFAULT_RUNTIME, device: missing.device }), {
    code: "unsupported",
    message: `runtime auto, device ${missing.device}: does not work on this machine; choose another, or auto (${missing.name}: ${missing.why})`,
  });
});
