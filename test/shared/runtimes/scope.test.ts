import assert from "node:assert/strict";
import { test } from "node:test";
import { RuntimeScope, withScope } from "../../../shared/runtimes/scope.js";
import type { Executable, ResidentTensor, Runtime } from "../../../shared/runtimes/types.js";

/** A runtime that records what is released and freed. @param failing graphs whose executables cannot be released */
function recording(failing: readonly string[] = []): { runtime: Runtime; ended: string[] } {
  const ended: string[] = [];
  let tensors = 0;
  const runtime = {
    compile: async (graph: unknown) => ({
      async release() {
        if (failing.includes(graph as string)) throw new Error(`${graph} stays`);
        ended.push(graph as string);
      },
    }),
    upload: async () => ({ id: ++tensors, shape: [] }),
    free(...freed: ResidentTensor[]) {
      ended.push(...freed.map(({ id }) => `tensor ${id}`));
    },
  };
  return { runtime: runtime as unknown as Runtime, ended };
}

const graph = (name: string) => name as unknown as Executable["graph"];
const tensor = { shape: [1], data: Float32Array.of(1) };

test("a scope frees and releases all that it holds, once", async () => {
  const { runtime, ended } = recording();
  const scope = new RuntimeScope(runtime);
  await scope.compile(graph("a"));
  const first = await scope.upload(tensor);
  await scope.upload(tensor);
  scope.own({ id: 9, shape: [] });
  scope.free(first);
  assert.deepEqual(ended, ["tensor 1"]);
  await scope.close();
  await scope.close();
  assert.deepEqual(ended, ["tensor 1", "tensor 2", "tensor 9", "a"]);
});

test("one executable that cannot be released keeps no other from it, and its error is reported", async () => {
  const { runtime, ended } = recording(["a"]);
  const scope = new RuntimeScope(runtime);
  await scope.compile(graph("a"));
  await scope.compile(graph("b"));
  await assert.rejects(scope.close(), /a stays/);
  assert.deepEqual(ended, ["b"]);
});

test("work in a scope returns its result, or its own error rather than that of the release", async () => {
  const { runtime, ended } = recording(["b"]);
  const result = await withScope(runtime, async (scope) => {
    await scope.compile(graph("a"));
    return 7;
  });
  assert.equal(result, 7);
  assert.deepEqual(ended, ["a"]);
  const failing = withScope(runtime, async (scope) => {
    await scope.compile(graph("b"));
    await scope.upload(tensor);
    throw new Error("no result");
  });
  await assert.rejects(failing, /no result/);
  assert.deepEqual(ended, ["a", "tensor 1"]);
});
