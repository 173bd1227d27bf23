/** A runtime that counts the executables and tensors that its users hold, and can fail one of its calls. */
import type { Executable, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";

export interface CountingRuntime extends Runtime {
  /** Calls of `compile` and `upload` so far. */
  readonly calls: number;
  /** Executables not released and tensors not freed. */
  readonly held: number;
}

/** @param failingCall number of the call of `compile` or `upload` that fails, from 1. @default none fails */
export function counting(inner: Runtime, failingCall = 0): CountingRuntime {
  const tensors = new Set<number>();
  const executables = new Set<Executable>();
  let calls = 0;
  const call = (): void => {
    if (++calls === failingCall) throw new Error(`call ${calls} fails`);
  };
  const add = (tensor: ResidentTensor): ResidentTensor => {
    tensors.add(tensor.id);
    return tensor;
  };
  return {
    name: inner.name,
    get calls() {
      return calls;
    },
    get held() {
      return tensors.size + executables.size;
    },
    async compile(graph) {
      call();
      const executable = await inner.compile(graph);
      const counted: Executable = {
        graph,
        async run(feeds, options) {
          const result = await executable.run(feeds, options);
          for (const tensor of Object.values(result.resident)) add(tensor);
          return result;
        },
        async release() {
          executables.delete(counted);
          await executable.release();
        },
      };
      executables.add(counted);
      return counted;
    },
    async upload(tensor) {
      call();
      return add(await inner.upload(tensor));
    },
    download: (tensor) => inner.download(tensor),
    free(...freed) {
      for (const { id } of freed) tensors.delete(id);
      inner.free(...freed);
    },
    close: () => inner.close(),
  };
}
