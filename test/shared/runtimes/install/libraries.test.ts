/** Which libraries are listed on which system, and what adds those that are missing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { asset } from "../../../../shared/base/assets.js";
import { isInstalled, TFJS_VERSION } from "../../../../shared/runtimes/install/installed.js";
import { computeLibraries, type Installed, librariesText } from "../../../../shared/runtimes/install/libraries.js";

const NOTHING: Installed = { system: "linux-x64", onnx: "1.2.3", cuda: false, tfjs: undefined, tensorflow: false };

test("an installation with nothing added says what adds each library", () => {
  assert.deepEqual(
    computeLibraries(NOTHING).map(({ name, installed, command }) => [name, installed, command]),
    [
      ["ONNX Runtime", true, undefined],
      ["ONNX Runtime's CUDA provider", false, "kindred runtime add cuda"],
      [
        "TensorFlow.js (wasm)",
        false,
        `npm install @tensorflow/tfjs-core@${TFJS_VERSION} @tensorflow/tfjs-backend-wasm@${TFJS_VERSION}`,
      ],
      ["TensorFlow for tfjs", false, "kindred runtime add tfjs"],
    ],
  );
});

test("what is installed needs no command", () => {
  const all = computeLibraries({ ...NOTHING, cuda: true, tfjs: "4.22.0", tensorflow: true });
  assert.ok(all.every(({ installed, command }) => installed && command === undefined));
  assert.match(librariesText(all).join("\n"), /^TensorFlow\.js \(wasm\) +installed \(4\.22\.0\)$/m);
});

test("a system is told of the libraries that exist for it", () => {
  const names = (system: string): string[] => computeLibraries({ ...NOTHING, system }).map(({ name }) => name);
  assert.deepEqual(names("linux-arm64"), ["ONNX Runtime", "TensorFlow.js (wasm)", "TensorFlow for tfjs"]);
  assert.deepEqual(names("darwin-arm64"), ["ONNX Runtime", "TensorFlow.js (wasm)"]);
  const lines = librariesText(computeLibraries({ ...NOTHING, system: "darwin-x64", onnx: undefined }));
  assert.match(lines[0]!, /^ONNX Runtime +not available for this system$/);
});

test("this clone has the libraries that its tests need", () => {
  const found = computeLibraries();
  for (const name of ["ONNX Runtime", "TensorFlow.js (wasm)"])
    assert.ok(found.find((each) => each.name === name)?.installed, name);
  assert.equal(isInstalled("@tensorflow/no-such-package"), false);
});

test("the versions of TensorFlow.js in package.json are the one that the commands name", () => {
  const { peerDependencies, devDependencies, dependencies } = JSON.parse(
    readFileSync(asset("package.json"), "utf8"),
  ) as Record<string, Record<string, string>>;
  const peers = Object.entries(peerDependencies!).filter(([name]) => name.startsWith("@tensorflow/"));
  assert.equal(peers.length, 5);
  for (const [name, range] of peers) assert.equal(range, `^${TFJS_VERSION}`, name);
  for (const name of ["core", "backend-wasm", "backend-cpu"])
    assert.equal(devDependencies![`@tensorflow/tfjs-${name}`], `^${TFJS_VERSION}`);
  assert.ok(!Object.keys(dependencies!).some((name) => name.startsWith("@tensorflow/")));
});
