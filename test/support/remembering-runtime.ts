/**
 * A runtime that computes equal things once, for tests that run the same estimate hundreds of times: an estimate of three clients
 * takes 87 runs of graphs in another thread. Tensors stay with the runtime beneath until it is closed.
 */
import { createHash } from "node:crypto";
import type { Graph } from "../../shared/graph/graph.js";
import type {
  Executable,
  Feed,
  HostTensor,
  ResidentTensor,
  RunOptions,
  RunResult,
  Runtime,
} from "../../shared/runtimes/types.js";

const keyOf = ({ shape, data }: HostTensor): string =>
  createHash("sha256")
    .update(JSON.stringify([shape, data.constructor.name]))
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest("base64");

const copyOf = ({ shape, data }: HostTensor): HostTensor => ({ shape, data: data.slice() });

export function remembering(inner: Runtime): Runtime {
  const compiled = new Map<string, Promise<Executable>>();
  const uploaded = new Map<string, Promise<ResidentTensor>>();
  const results = new Map<string, Promise<RunResult>>();
  /** Key of the origin of a resident tensor. */
  const origins = new Map<number, string>();

  const remembered = <T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> => {
    const value = known.get(key) ?? make();
    known.set(key, value);
    return value;
  };
  const feedKey = (feed: Feed): string => ("data" in feed ? keyOf(feed) : origins.get(feed.id)!);

  return {
    name: inner.name,
    async compile(graph: Graph): Promise<Executable> {
      const code = createHash("sha256").update(JSON.stringify(graph)).digest("base64");
      const executable = await remembered(compiled, code, () => inner.compile(graph));
      const run = async (feeds: Readonly<Record<string, Feed>>, options: RunOptions = {}): Promise<RunResult> => {
        const fed = Object.entries(feeds).map(([name, feed]) => [name, feedKey(feed)]);
        const key = createHash("sha256")
          .update(code)
          .update(JSON.stringify([fed, options]))
          .digest("base64");
        const { tensors, resident } = await remembered(results, key, () => executable.run(feeds, options));
        for (const [name, { id }] of Object.entries(resident)) origins.set(id, `${key} ${name}`);
        return {
          tensors: Object.fromEntries(Object.entries(tensors).map(([name, each]) => [name, copyOf(each)])),
          resident,
        };
      };
      return { graph, run, release: async () => undefined };
    },
    async upload(tensor) {
      const key = keyOf(tensor);
      const resident = await remembered(uploaded, key, () => inner.upload(tensor));
      origins.set(resident.id, key);
      return resident;
    },
    download: (tensor) => inner.download(tensor),
    free: () => undefined,
    close: () => inner.close(),
  };
}
