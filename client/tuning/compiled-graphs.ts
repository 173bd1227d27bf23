/** Compiled graphs of one base model, compiled at first use and shared by all clients of a process, and a meter of their work. */
import { throwIfAborted } from "../../shared/base/errors.js";
import type { Graph } from "../../shared/graph/graph.js";
import { FlopCounter } from "../../shared/runtimes/metered.js";
import type { Executable, Feed, ResidentTensor, RunOptions, RunResult, Runtime } from "../../shared/runtimes/types.js";
import type { BaseModel } from "../models/base.js";
import type { AdapterLayout } from "./adapter.js";
import type { MemoryBudget } from "./memory.js";

/** The cost of work so far. */
export class Meter {
  /** Floating-point operations, counted from the graphs; a multiply-add counts as 2. */
  flops = 0;
  computeSeconds = 0;

  constructor(private readonly signal?: AbortSignal) {}

  /** Runs and counts. @throws {KindredError} `cancelled` once the signal is aborted */
  async run(program: CompiledGraph, feeds: Readonly<Record<string, Feed>>, options?: RunOptions): Promise<RunResult> {
    throwIfAborted(this.signal);
    const start = performance.now();
    const result = await program.executable.run(feeds, options);
    this.computeSeconds += (performance.now() - start) / 1000;
    this.flops += program.flops(feeds);
    return result;
  }
}

/** An executable and the cost of its runs. */
export class CompiledGraph {
  private readonly counter: FlopCounter;

  constructor(readonly executable: Executable) {
    this.counter = new FlopCounter(executable.graph);
  }

  flops(feeds: Readonly<Record<string, Feed>>): number {
    return this.counter.of(feeds);
  }
}

/** The compiled graphs over one base model. */
export class CompiledGraphs {
  private readonly compiled = new Map<string, Promise<CompiledGraph>>();

  constructor(
    readonly runtime: Runtime,
    readonly model: BaseModel,
    /** Limit on memory, to which batches are sized. @default no limit */
    readonly budget?: MemoryBudget,
  ) {}

  /** The graph of a name and a layout, compiled once. @param build makes the graph */
  get(name: string, layout: AdapterLayout | undefined, build: () => Graph): Promise<CompiledGraph> {
    const key = JSON.stringify([name, layout?.spec]);
    let program = this.compiled.get(key);
    if (program === undefined) {
      program = this.runtime.compile(build()).then((executable) => new CompiledGraph(executable));
      this.compiled.set(key, program);
    }
    return program;
  }

  free(...tensors: readonly (ResidentTensor | undefined)[]): void {
    const there = tensors.filter((tensor) => tensor !== undefined);
    if (there.length > 0) this.runtime.free(...there);
  }

  async close(): Promise<void> {
    for (const program of this.compiled.values()) await (await program).executable.release();
    this.compiled.clear();
  }
}
