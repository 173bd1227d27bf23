/** The compiled graphs and resident tensors of one user of a runtime, released together. It knows nothing of their contents. */
import type { Graph } from "../graph/graph.js";
import type { Executable, HostTensor, ResidentTensor, Runtime } from "./types.js";

export class RuntimeScope {
  private readonly executables = new Set<Executable>();
  private readonly tensors = new Set<ResidentTensor>();

  constructor(readonly runtime: Runtime) {}

  async compile(graph: Graph): Promise<Executable> {
    const executable = await this.runtime.compile(graph);
    this.executables.add(executable);
    return executable;
  }

  async upload(tensor: HostTensor): Promise<ResidentTensor> {
    return this.own(await this.runtime.upload(tensor));
  }

  /** Takes over a tensor that a run left with the runtime. */
  own(tensor: ResidentTensor): ResidentTensor {
    this.tensors.add(tensor);
    return tensor;
  }

  /** Frees a tensor before the others. */
  free(tensor: ResidentTensor): void {
    this.tensors.delete(tensor);
    this.runtime.free(tensor);
  }

  /** Frees all tensors and releases all executables, also where the release of one fails. @throws the first such failure */
  async close(): Promise<void> {
    const tensors = [...this.tensors];
    const executables = [...this.executables];
    this.tensors.clear();
    this.executables.clear();
    if (tensors.length > 0) this.runtime.free(...tensors);
    const released = await Promise.allSettled(executables.map((executable) => executable.release()));
    for (const result of released) if (result.status === "rejected") throw result.reason;
  }
}

/**
 * Runs `work` with a scope of its own, which is closed at the end, also where the work fails; the work's failure is the one reported.
 */
export async function withScope<T>(runtime: Runtime, work: (scope: RuntimeScope) => Promise<T>): Promise<T> {
  const scope = new RuntimeScope(runtime);
  let result: T;
  try {
    result = await work(scope);
  } catch (error) {
    await scope.close().catch(() => undefined);
    throw error;
  }
  await scope.close();
  return result;
}
