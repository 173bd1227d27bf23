/**
 * How fast the engine is: forward + backward with per-example gradients on the SmolLM2-135M shape, beside the best matrix-product
 * rate that the same runtime reaches on the model's own shapes in the same run, and PyTorch where it is at hand.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { openBaseModel } from "../../client/models/base.js";
import { linearsOfLayer } from "../../client/models/llama.js";
import { marginFeeds, PositionCache } from "../../client/tuning/batches.js";
import { perExampleGraph } from "../../client/tuning/graphs.js";
import { initialAdapter, loraLayout } from "../../client/tuning/lora.js";
import { Meter, Program } from "../../client/tuning/programs.js";
import { SeededRng } from "../../shared/base/random.js";
import { GraphBuilder } from "../../shared/graph/graph.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { runPeer } from "./peers.js";
import { SEVEN_LINEARS, SMOLLM2_135M, writeRandomModel } from "./shape.js";

const BATCH = 8;
const LENGTH = 64;
const RANK = 16;
const WARM_UP = 3; // the second run still grows ONNX Runtime's arena: 280,000 page faults
const REPEATS = 9;

export async function benchEngine(runtime: Runtime, print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "kindred-bench-"));
  try {
    await writeRandomModel(folder, SMOLLM2_135M, 1);
    const model = await openBaseModel(folder);
    const layout = loraLayout(model.config, {
      rank: RANK,
      alpha: 2 * RANK,
      modules: SEVEN_LINEARS,
      dropout: 0,
      freezeA: true,
    });
    const start = performance.now();
    const program = new Program(await runtime.compile(perExampleGraph(model, layout, { zeroB: true })));
    print(`  session created in ${((performance.now() - start) / 1000).toFixed(2)} s`);
    const rng = new SeededRng(2, "tokens");
    const rows = Array.from({ length: BATCH }, () => ({
      tokens: Int32Array.from({ length: LENGTH + 1 }, () => rng.int(model.config.vocabulary)),
      scored: Int32Array.from({ length: LENGTH }, (_, i) => i + 1),
    }));
    const feeds = marginFeeds(rows, new PositionCache(model.config), false);
    // The last token only ends the target: 64 tokens a row are run.
    const tokens = Int32Array.from(rows.flatMap((row) => [...row.tokens.subarray(0, LENGTH)]));
    const positions = Int32Array.from({ length: BATCH * LENGTH }, (_, i) => i);
    const values = initialAdapter(layout, 3);
    const all = {
      ...feeds,
      ...new PositionCache(model.config).at(LENGTH),
      tokens: { shape: [BATCH, LENGTH], data: tokens },
      positions: { shape: [BATCH * LENGTH], data: positions },
      frozen: await runtime.upload({ shape: [layout.frozenSize], data: values.frozen }),
      trained: await runtime.upload({ shape: [layout.trainedSize], data: values.trained }),
    };
    const keep = Object.keys(program.executable.graph.outputs).filter((name) => name !== "margin");
    const run = async (): Promise<number> => {
      const meter = new Meter();
      const { resident } = await meter.run(program, all, { fetch: ["margin"], keep });
      runtime.free(...Object.values(resident));
      return meter.computeSeconds;
    };
    for (let i = 0; i < WARM_UP; i++) await run();
    const gap = monitorEventLoopDelay({ resolution: 5 });
    gap.enable();
    const times: number[] = [];
    for (let i = 0; i < REPEATS; i++) times.push(await run());
    gap.disable();
    const seconds = median(times);
    const gflops = program.flops(all) / seconds / 1e9;
    await program.executable.release();
    const bestGemm = await bestGemmRate(
      runtime,
      linearsOfLayer(model.config).map((l) => [l.in, l.out] as const),
      print,
    );
    const share = gflops / bestGemm;
    print(
      `  ${BATCH} x ${LENGTH} tokens, rank ${RANK} on seven linears, logits for all tokens: ${seconds.toFixed(2)} s, ${gflops.toFixed(0)} GFLOP/s`,
    );
    print(
      `  best matrix product over the model's shapes ${bestGemm.toFixed(0)} GFLOP/s: share ${(100 * share).toFixed(0)} %`,
    );
    print(`  longest gap of the event loop meanwhile ${(gap.max / 1e6).toFixed(0)} ms`);
    const peer = await runPeer("per_example.py", ["--wanted", "b"], print);
    if (peer !== undefined) print(`  ratio to PyTorch ${(peer.seconds / seconds).toFixed(2)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** GFLOP/s of the quickest product [512, in] x [out, in]^T. */
async function bestGemmRate(
  runtime: Runtime,
  shapes: readonly (readonly [number, number])[],
  print: (line: string) => void,
): Promise<number> {
  const rng = new SeededRng(4, "gemm");
  let best = 0;
  for (const [width, out] of new Map(shapes.map((shape) => [shape.join(), shape])).values()) {
    const rows = BATCH * LENGTH;
    const g = new GraphBuilder();
    const normals = (size: number): Float32Array => Float32Array.from({ length: size }, () => rng.normal());
    // Twenty products a run, so that the call's own cost does not count; each with another input, so that none is shared.
    const weight = g.constant(normals(width * out), [out, width]);
    const x = g.input("x", [rows, width]);
    const outputs = Array.from({ length: 20 }, (_, i) =>
      g.sum(g.matmul(g.scale(x, i + 2), weight, { transB: true }), [0, 1]),
    );
    const program = await runtime.compile(g.build(Object.fromEntries(outputs.map((value, i) => [`y${i}`, value]))));
    const feed = { x: await runtime.upload({ shape: [rows, width], data: normals(rows * width) }) };
    await program.run(feed);
    const times: number[] = [];
    for (let i = 0; i < REPEATS; i++) {
      const start = performance.now();
      await program.run(feed);
      times.push((performance.now() - start) / 1000);
    }
    const rate = (20 * 2 * rows * width * out) / median(times) / 1e9;
    print(`  product ${rows} x ${width} x ${out}: ${rate.toFixed(0)} GFLOP/s`);
    best = Math.max(best, rate);
    await program.release();
  }
  return best;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
