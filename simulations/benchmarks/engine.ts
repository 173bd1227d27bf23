/**
 * Speed of the engine: forward + backward with per-example gradients on the SmolLM2-135M shape, beside the highest matrix-product
 * rate of the same runtime on the model's own shapes in the same run, and PyTorch where it is available.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { moduleNames } from "../../client/models/architecture.js";
import type { BaseModel } from "../../client/models/base.js";
import { type AdapterLayout, initialAdapter } from "../../client/tuning/adapter.js";
import { type Feeds, marginFeeds } from "../../client/tuning/batches.js";
import { CompiledGraph, Meter } from "../../client/tuning/compiled-graphs.js";
import { perExampleGraph, sketchGraph } from "../../client/tuning/graphs.js";
import { loraLayout } from "../../client/tuning/lora.js";
import { SeededRng } from "../../shared/base/random.js";
import { GraphBuilder } from "../../shared/graph/graph.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { runPeer } from "./peers.js";
import { randomRows, withRandomModel } from "./shape.js";

const BATCH = 8;
const LENGTH = 64;
const RANK = 16;
/** Tokens in an answer, and numbers in a sketch. */
const ANSWER = 4;
const DIM = 400;
const WARM_UP = 3; // the second run still grows ONNX Runtime's arena: 280,000 page faults
const REPEATS = 9;

export function benchEngine(runtime: Runtime, print: (line: string) => void): Promise<void> {
  return withRandomModel(async (model) => {
    const layout = benchLayout(model);
    const start = performance.now();
    const program = new CompiledGraph(await runtime.compile(perExampleGraph(model, layout, { fresh: true })));
    print(`  session created in ${((performance.now() - start) / 1000).toFixed(2)} s`);
    const feeds = marginFeeds(randomRows(model, BATCH, LENGTH, LENGTH), model.architecture);
    const keep = Object.keys(program.executable.graph.outputs).filter((name) => name !== "margin");
    const { seconds, flops, gapMs } = await timed(runtime, program, layout, feeds, keep);
    await program.executable.release();
    const gflops = flops / seconds / 1e9;
    const shapes = model.architecture.linears.map((linear) => [linear.in, linear.out] as const);
    const bestGemm = await bestGemmRate(runtime, shapes, print);
    print(
      `  ${BATCH} x ${LENGTH} tokens, rank ${RANK} on seven linears, logits for all tokens: ${seconds.toFixed(2)} s, ${gflops.toFixed(0)} GFLOP/s`,
    );
    const share = (100 * gflops) / bestGemm;
    print(`  best matrix product over the model's shapes ${bestGemm.toFixed(0)} GFLOP/s: share ${share.toFixed(0)} %`);
    print(`  longest gap of the event loop meanwhile ${gapMs.toFixed(0)} ms`);
    const peer = await runPeer("per_example.py", ["--wanted", "b"], print);
    if (peer !== undefined) print(`  ratio to PyTorch ${(peer.seconds / seconds).toFixed(2)}`);
  });
}

/** The cost of a client's sketching: margins, per-example gradients and their projection, logits for the answer alone. */
export function benchSketching(runtime: Runtime, print: (line: string) => void): Promise<void> {
  return withRandomModel(async (model) => {
    const layout = benchLayout(model);
    const program = new CompiledGraph(
      await runtime.compile(sketchGraph(model, layout, { dim: DIM, seed: 5 }, { fresh: true })),
    );
    const feeds = marginFeeds(randomRows(model, BATCH, LENGTH, ANSWER), model.architecture);
    const { seconds } = await timed(runtime, program, layout, feeds, []);
    await program.executable.release();
    print(
      `  ${BATCH} x ${LENGTH} tokens, the last ${ANSWER} scored, d = ${DIM}: ${seconds.toFixed(2)} s, ${(BATCH / seconds).toFixed(1)} examples per second`,
    );
    const options = ["--wanted", "b", "--scored", String(ANSWER), "--sketch", String(DIM)];
    const peer = await runPeer("per_example.py", [...options, "--methods", "hooks,vmap,backward,published"], print);
    for (const [way, theirs] of Object.entries(peer?.all ?? {})) {
      print(`  ratio to PyTorch's ${way}: ${(theirs / seconds).toFixed(2)} (${theirs.toFixed(2)} s)`);
    }
  });
}

const benchLayout = (model: BaseModel): AdapterLayout =>
  loraLayout(model.architecture, {
    rank: RANK,
    alpha: 2 * RANK,
    modules: moduleNames(model.architecture),
    dropout: 0,
    freezeA: true,
  });

/** Median time of a graph's runs at a fresh adapter, and the longest gap of the event loop meanwhile. */
async function timed(
  runtime: Runtime,
  program: CompiledGraph,
  layout: AdapterLayout,
  feeds: Feeds,
  keep: readonly string[],
): Promise<{ seconds: number; flops: number; gapMs: number }> {
  const values = initialAdapter(layout, 3);
  const held = {
    frozen: await runtime.upload({ shape: [layout.frozenSize], data: values.frozen }),
    trained: await runtime.upload({ shape: [layout.trainedSize], data: values.trained }),
  };
  const fetch = Object.keys(program.executable.graph.outputs).filter((name) => !keep.includes(name));
  const all = { ...feeds, ...held };
  const run = async (): Promise<number> => {
    const meter = new Meter();
    const { resident } = await meter.run(program, all, { fetch, keep });
    runtime.free(...Object.values(resident));
    return meter.computeSeconds;
  };
  for (let i = 0; i < WARM_UP; i++) await run();
  const gap = monitorEventLoopDelay({ resolution: 5 });
  gap.enable();
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) times.push(await run());
  gap.disable();
  runtime.free(...Object.values(held));
  return { seconds: median(times), flops: program.flops(all), gapMs: gap.max / 1e6 };
}

/** GFLOP/s of the fastest product [512, in] x [out, in]^T. */
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
    // Twenty products per run, so that the cost of the call does not count; each with another input, so that no product is shared.
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
