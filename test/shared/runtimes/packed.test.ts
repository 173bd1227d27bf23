/** Products with packed weights on ONNX Runtime, against float32 products with the dequantised values. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, test } from "node:test";
import { SeededRng } from "../../../shared/base/random.js";
import { gradients } from "../../../shared/graph/gradients.js";
import { type Graph, GraphBuilder, type Value, type WeightSource } from "../../../shared/graph/graph.js";
import { packGgmlBlocks } from "../../../shared/quantization/int4.js";
import { type PackedForm, packedBytes, QUANTIZATIONS } from "../../../shared/quantization/layout.js";
import { pack, unpack } from "../../../shared/quantization/pack.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { HostTensor } from "../../../shared/runtimes/types.js";

const folder = await mkdtemp(join(tmpdir(), "kindred-packed-"));
after(() => rm(folder, { recursive: true, force: true }));

let files = 0;
/** A weight in a file, after other bytes. */
async function stored(bytes: Uint8Array, form?: PackedForm): Promise<WeightSource> {
  const path = join(folder, `w${files++}.bin`);
  await writeFile(path, Buffer.concat([Buffer.alloc(128, 0xa5), bytes]));
  return { path, offset: 128, ...(form === undefined ? {} : { form }) };
}

const normals = (seed: number, size: number, scale = 1): Float32Array => {
  const rng = new SeededRng(seed, "packed");
  return Float32Array.from({ length: size }, () => scale * rng.normal());
};

/** Q4_1 blocks: random codes, scales near 0.01, minima near -0.07. */
function q41Blocks(seed: number, blocks: number): Uint8Array {
  const rng = new SeededRng(seed, "q4_1");
  const bytes = Uint8Array.from({ length: 20 * blocks }, () => rng.int(256));
  for (let at = 0; at < bytes.length; at += 20) {
    new DataView(bytes.buffer).setUint16(at, 0x2000 + rng.int(512), true);
    new DataView(bytes.buffer).setUint16(at + 2, 0xac00 + rng.int(512), true);
  }
  return bytes;
}

/** Packed bytes of a matrix of some values. */
const packed = (form: PackedForm, shape: readonly [number, number], seed: number): Uint8Array<ArrayBuffer> =>
  form === "int4-min"
    ? packGgmlBlocks("Q4_1", q41Blocks(seed, (shape[0] * shape[1]) / 32), shape)
    : pack(form, normals(seed, shape[0] * shape[1], 0.05), shape, "w");

/** `y` = x W^T (or x W for a weight [in, out]) + z, and the gradient of a weighted sum of its squares in x. */
function graphOf(source: WeightSource, shape: readonly [number, number], inputFirst: boolean): Graph {
  const g = new GraphBuilder();
  const [width, out] = inputFirst ? shape : [shape[1], shape[0]];
  const x = g.input("x", ["R", width]);
  const product = g.matmul(x, g.weight("w", shape, source), { transB: !inputFirst });
  const y = g.add(product, g.matmul(x, g.input("z", [width, out])));
  const [dx] = gradients(g, g.total(g.mul(g.square(y), g.input("u", ["R", out]))), [x]);
  return g.build({ y, dx: dx as Value });
}

function assertNear(got: HostTensor, want: HostTensor, what: string): void {
  let [error, size] = [0, 0];
  want.data.forEach((x, i) => {
    error += (got.data[i]! - x) ** 2;
    size += x ** 2;
  });
  const relative = Math.sqrt(error / size);
  assert.ok(relative <= 1e-5, `${what} is off by ${relative}`);
}

const FORMS: readonly PackedForm[] = [...QUANTIZATIONS, "int4-min"];
// 192 x 96: 288 blocks of 64, which are more than a group of magnitudes; three blocks of 32 a row, which are an odd number.
const SHAPE = [192, 96] as const;

for (const prepackBytes of [2 ** 30, 0]) {
  describe(`with weights ${prepackBytes ? "repacked by the runtime" : "mapped into memory"}`, () => {
    const runtime = new OnnxRuntime({ threads: 1, prepackBytes });
    after(() => runtime.close());
    for (const form of FORMS) {
      for (const inputFirst of [false, true]) {
        it(`a ${form} weight ${inputFirst ? "[in, out]" : "[out, in]"}: products and gradients`, async () => {
          const bytes = packed(form, SHAPE, 1);
          const values = unpack(form, bytes, SHAPE);
          const got = await runtime.compile(graphOf(await stored(bytes, form), SHAPE, inputFirst));
          const raw = new Uint8Array(values.buffer);
          const want = await runtime.compile(graphOf(await stored(raw), SHAPE, inputFirst));
          const [width, out] = inputFirst ? SHAPE : [SHAPE[1], SHAPE[0]];
          for (const rows of [1, 5, 64]) {
            const feeds = {
              x: { shape: [rows, width], data: normals(2, rows * width) },
              z: { shape: [width, out], data: normals(3, width * out, 0.02) },
              u: { shape: [rows, out], data: normals(4, rows * out) },
            };
            const [a, b] = [await got.run(feeds), await want.run(feeds)];
            assertNear(a.tensors.y!, b.tensors.y!, `y of ${rows} rows`);
            assertNear(a.tensors.dx!, b.tensors.dx!, `dx of ${rows} rows`);
          }
        });
      }
    }
  });
}

test("packed weights are dequantised one at a time, and again in the backward pass", async () => {
  const [size, count] = [1024, 48];
  const shape = [size, size];
  const spread = 4 * size * size * count;
  for (const form of ["nf4", "int4"] as const) {
    // Zeros: what the weights are makes no difference to memory.
    const bytes = packedBytes(form, shape);
    const { path } = await stored(new Uint8Array(count * bytes));
    const g = new GraphBuilder();
    const x = g.input("x", ["R", size]);
    let h = x;
    for (let i = 0; i < count; i++) {
      const weight = g.weight(`w${i}`, shape, { path, offset: 128 + i * bytes, form });
      h = g.tanh(g.matmul(h, weight, { transB: true }));
    }
    const [dx] = gradients(g, g.total(h), [x]);
    const runtime = new OnnxRuntime({ threads: 1, prepackBytes: 0 });
    const before = process.memoryUsage.rss();
    const program = await runtime.compile(g.build({ dx: dx as Value }));
    await program.run({ x: { shape: [2, size], data: normals(1, 2 * size) } });
    const grown = process.memoryUsage.rss() - before;
    await runtime.close();
    assert.ok(grown < 0.6 * spread, `${form}: ${grown} bytes more, all weights in float32 take ${spread}`);
  }
});

test("a packed weight has whole blocks, and is used in matrix products alone", async () => {
  const source = await stored(packed("int4", [4, 32], 1), "int4");
  const g = new GraphBuilder();
  assert.throws(() => g.weight("w", [4, 16], source), {
    code: "shape_mismatch",
    message: /w: \[4, 16\] is not a number of whole/,
  });
  const runtime = new OnnxRuntime({ threads: 1 });
  await assert.rejects(runtime.compile(g.build({ y: g.neg(g.weight("w", [4, 32], source)) })), /packed weight/);
  await runtime.close();
});
