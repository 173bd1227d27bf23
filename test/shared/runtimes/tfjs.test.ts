/** The tensors and weights that TensorFlow.js holds, counted in the thread of this test. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Graph, GraphBuilder } from "../../../shared/graph/graph.js";
import type { Reply, Request } from "../../../shared/runtimes/messages.js";
import { Service } from "../../../shared/runtimes/serve.js";
import { boundMemory, loadBackend, type TfjsBackend } from "../../../shared/runtimes/tfjs/backends.js";
import { TfjsEngine } from "../../../shared/runtimes/tfjs/engine.js";
import type { HostTensor } from "../../../shared/runtimes/types.js";
import { OP_CASES, prepareCase } from "../../support/op-cases.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-tfjs-"));
after(() => rmSync(folder, { recursive: true }));

const floats = (path: string, values: readonly number[]): string => {
  writeFileSync(join(folder, path), Float32Array.from(values));
  return join(folder, path);
};

/** A service over a backend, with the requests of a runtime. */
async function open(backend: TfjsBackend): Promise<{
  ask: (request: Request<Graph>) => Promise<Extract<Reply, { ok: true }>>;
  tensors: () => number;
}> {
  const tf = await loadBackend(backend);
  const service = new Service(async () => new TfjsEngine(tf));
  const ask = async (request: Request<Graph>): Promise<Extract<Reply, { ok: true }>> => {
    const reply = await service.handle(request);
    if (!reply.ok) throw Object.assign(new Error(reply.message), { code: reply.code });
    return reply;
  };
  return { ask, tensors: () => tf.memory().numTensors };
}

/** x [n, 4] times a weight's transpose, and times the weight; `offset` bytes into the file. */
function products(path: string, offset = 0): Graph {
  const g = new GraphBuilder();
  const x = g.input("x", ["n", 4]);
  const w = g.weight("w", [3, 4], { path, offset });
  const y = g.matmul(x, w, { transB: true });
  return g.build({ y, back: g.matmul(y, w) });
}

for (const backend of ["cpu", "wasm"] as const) {
  test(`${backend}: no tensor is left after runs, kept tensors and released graphs`, async () => {
    const { ask, tensors } = await open(backend);
    assert.equal(tensors(), 0);
    const cases = OP_CASES.map(prepareCase);
    for (const { graph, feeds } of cases) {
      const { program } = await ask({ id: 1, kind: "compile", plan: graph });
      const compiled = tensors();
      const run = (keep: string[]) =>
        ask({ id: 2, kind: "run", program: program!, feeds, fetch: ["loss"], keep }).then((reply) => reply.tensors!);
      await run([]);
      assert.equal(tensors(), compiled);
      const { result } = await run(["result"]);
      assert.equal(tensors(), compiled + 1);
      await ask({ id: 3, kind: "free", tensors: [result!.resident!] });
      const wrong: Record<string, HostTensor> = { ...feeds, x0: { shape: [1], data: new Float32Array(1) } };
      await assert.rejects(ask({ id: 4, kind: "run", program: program!, feeds: wrong, fetch: ["loss"], keep: [] }), {
        code: "shape_mismatch",
      });
      assert.equal(tensors(), compiled);
      await ask({ id: 5, kind: "release", program: program! });
      assert.equal(tensors(), 0);
    }
  });

  test(`${backend}: graphs share a weight, and the last release frees it`, async () => {
    const { ask, tensors } = await open(backend);
    const path = floats("w.bin", [9, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
    const first = await ask({ id: 1, kind: "compile", plan: products(path, 4) });
    const held = tensors();
    assert.ok(held === 1 || held === 2, `${held} tensors`); // the weight, and its transpose where that is faster
    const second = await ask({ id: 2, kind: "compile", plan: products(path, 4) });
    assert.equal(tensors(), held);
    await ask({ id: 3, kind: "release", program: first.program! });
    assert.equal(tensors(), held);
    const feeds = { x: { shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) } };
    const { tensors: out } = await ask({
      id: 4,
      kind: "run",
      program: second.program!,
      feeds,
      fetch: ["y", "back"],
      keep: [],
    });
    assert.deepEqual([...out!.y!.data!], [1, 2, 3]);
    assert.deepEqual([...out!.back!.data!], [1, 2, 3, 0]);
    await ask({ id: 5, kind: "close" });
    assert.equal(tensors(), 0);
  });

  test(`${backend}: a file that ends before a weight is refused, and no tensor of the graph is left`, async () => {
    const { ask, tensors } = await open(backend);
    const path = floats("short.bin", Array(24).fill(1));
    const g = new GraphBuilder();
    const x = g.input("x", [1, 4]);
    const [near, far] = [0, 48].map((offset) => g.weight(`w${offset}`, [3, 4], { path, offset }));
    const graph = g.build({ y: g.add(g.matmul(x, near!, { transB: true }), g.matmul(x, far!, { transB: true })) });
    truncateSync(path, 95);
    await assert.rejects(ask({ id: 1, kind: "compile", plan: graph }), {
      code: "invalid_model",
      message: `${path}: ends before the weight of 48 bytes at 48`,
    });
    assert.equal(tensors(), 0);
  });
}

test("an index outside of its axis is an error", async () => {
  const { ask } = await open("wasm");
  const g = new GraphBuilder();
  const [table, at] = [g.input("table", [3, 2]), g.input("at", ["n"], "int32")];
  const { program } = await ask({ id: 1, kind: "compile", plan: g.build({ rows: g.gather(table, at) }) });
  const feeds = {
    table: { shape: [3, 2], data: new Float32Array(6) },
    at: { shape: [1], data: Int32Array.of(3) },
  };
  await assert.rejects(ask({ id: 2, kind: "run", program: program!, feeds, fetch: ["rows"], keep: [] }), /index/);
  await ask({ id: 3, kind: "close" });
});

test("wasm refuses a graph beyond its memory, where it would compute wrong numbers", async () => {
  const tf = await loadBackend("wasm");
  boundMemory(tf, 64 * 2 ** 20);
  const { ask } = await open("wasm");
  const g = new GraphBuilder();
  const x = g.input("x", ["n"]);
  const { program } = await ask({ id: 1, kind: "compile", plan: g.build({ sum: g.total(g.exp(x)) }) });
  const sum = (n: number) =>
    ask({
      id: 2,
      kind: "run",
      program: program!,
      feeds: { x: { shape: [n], data: new Float32Array(n) } },
      fetch: ["sum"],
      keep: [],
    });
  assert.equal((await sum(1000)).tensors!.sum!.data![0], 1000);
  await assert.rejects(sum(20_000_000), {
    code: "too_large",
    message: /more than the 0.1 GiB .* choose smaller batches/,
  });
  await ask({ id: 3, kind: "close" });
});
