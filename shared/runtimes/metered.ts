/** Counts the floating-point operations of a runtime's runs, from the graphs. */
import { bindFeeds, flops } from "../graph/cost.js";
import type { Graph } from "../graph/graph.js";
import type { Executable, Feed, HostTensor, ResidentTensor, RunOptions, RunResult, Runtime } from "./types.js";

/** Operations of a graph's runs, counted once per set of shapes. */
export class FlopCounter {
  private readonly counted = new Map<string, number>();

  constructor(private readonly graph: Graph) {}

  of(feeds: Readonly<Record<string, Feed>>): number {
    const names = Object.keys(this.graph.inputs);
    const bindings = bindFeeds(this.graph, Object.fromEntries(names.map((name) => [name, feeds[name]!.shape])));
    const key = JSON.stringify(bindings);
    let count = this.counted.get(key);
    if (count === undefined) {
      count = flops(this.graph, bindings);
      this.counted.set(key, count);
    }
    return count;
  }
}

/** A runtime that counts operations. Closing it does not close the inner runtime. */
export class MeteredRuntime implements Runtime {
  flops = 0;

  constructor(private readonly inner: Runtime) {}

  get name(): string {
    return this.inner.name;
  }

  async compile(graph: Graph): Promise<Executable> {
    const executable = await this.inner.compile(graph);
    const counter = new FlopCounter(graph);
    const run = async (feeds: Readonly<Record<string, Feed>>, options?: RunOptions): Promise<RunResult> => {
      const result = await executable.run(feeds, options);
      this.flops += counter.of(feeds);
      return result;
    };
    return { graph, run, release: () => executable.release() };
  }

  upload(tensor: HostTensor): Promise<ResidentTensor> {
    return this.inner.upload(tensor);
  }

  download(tensor: ResidentTensor): Promise<HostTensor> {
    return this.inner.download(tensor);
  }

  free(...tensors: readonly ResidentTensor[]): void {
    this.inner.free(...tensors);
  }

  async close(): Promise<void> {}
}
