/** Runs graphs on ONNX Runtime in a worker thread, so that the caller's event loop stays free. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { KindredError } from "../../base/errors.js";
import { sizeOf } from "../../base/tensors.js";
import { bindFeeds } from "../../graph/cost.js";
import type { Graph } from "../../graph/graph.js";
import type { Executable, Feed, HostTensor, ResidentTensor, RunOptions, RunResult, Runtime } from "../types.js";
import { encodeOnnx } from "./encode.js";
import type { Reply, Request, Returned, SessionSettings } from "./messages.js";

export interface OnnxOptions {
  /** An execution provider of ONNX Runtime. @default "cpu" */
  provider?: string;
  /** Threads of a matrix product. @default the processors at hand */
  threads?: number;
  /**
   * Let ONNX Runtime repack a graph's weights when they take at most so many bytes. Forward + backward of 135 M parameters
   * then takes 13 % less time and 620 MB more, for every session has its own copies; above the limit all sessions share one
   * memory map. A limit, not the memory at hand: repacked products round differently, and the same seed must give the same
   * result. @default 1 GiB
   */
  prepackBytes?: number;
  /**
   * Microseconds that an idle thread spins before it sleeps. A short spin bridges the gap between two operations (7 % of a
   * training step on two idle cores); ONNX Runtime's own default of a millisecond takes, beside other programs on the same
   * processors, the time that the work needs (`simulations/LOG.md`). 0: none. @default 20
   */
  spin?: number;
}

type Unnumbered<T> = T extends unknown ? Omit<T, "id"> : never;

export class OnnxRuntime implements Runtime {
  readonly name: string;
  private readonly worker: Worker;
  private readonly settings: Omit<SessionSettings, "prepack">;
  private readonly prepackBytes: number;
  private readonly waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  private next = 1;
  private closing: Promise<void> | undefined;
  private dead: Error | undefined;

  constructor({
    provider = "cpu",
    threads = availableParallelism(),
    prepackBytes = 2 ** 30,
    spin = 20,
  }: OnnxOptions = {}) {
    this.name = `onnx-${provider}`;
    this.settings = { provider, threads, spin };
    this.prepackBytes = prepackBytes;
    this.worker = new Worker(new URL("./worker.js", import.meta.url));
    this.worker.unref();
    this.worker.on("message", (reply: Reply) => {
      const waiter = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (this.waiting.size === 0) this.worker.unref();
      waiter?.resolve(reply);
    });
    const die = (error: Error): void => {
      this.dead = error;
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    this.worker.on("error", die);
    this.worker.on("exit", () => die(new KindredError("internal", "the compute thread has ended")));
  }

  /** @internal */
  async ask(request: Unnumbered<Request>): Promise<Extract<Reply, { ok: true }>> {
    if (this.dead !== undefined) throw this.dead;
    const id = this.next++;
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.ref();
      this.worker.postMessage({ ...request, id });
    });
    if (!reply.ok) throw new KindredError("internal", `${this.name}: ${reply.message}`);
    return reply;
  }

  async compile(graph: Graph): Promise<Executable> {
    const { model, weightsFolder } = encodeOnnx(graph);
    const reply = await this.ask({
      kind: "compile",
      model,
      settings: { ...this.settings, prepack: weightBytes(graph) <= this.prepackBytes },
      ...(weightsFolder === undefined ? {} : { weightsFolder }),
    });
    return new OnnxExecutable(this, graph, reply.session as number);
  }

  async upload({ shape, data }: HostTensor): Promise<ResidentTensor> {
    const reply = await this.ask({ kind: "upload", shape, data });
    return resident(reply.tensors!.tensor!);
  }

  async download(tensor: ResidentTensor): Promise<HostTensor> {
    const reply = await this.ask({ kind: "download", tensor: tensor.id });
    return host(reply.tensors!.tensor!);
  }

  free(...tensors: readonly ResidentTensor[]): void {
    if (this.dead === undefined && this.closing === undefined) {
      this.ask({ kind: "free", tensors: tensors.map(({ id }) => id) }).catch(() => {
        // The thread has ended, and the tensors with it.
      });
    }
  }

  close(): Promise<void> {
    // Sessions are released before the thread ends: ending it during a run aborts the process.
    this.closing ??= this.ask({ kind: "close" }).then(() => undefined);
    return this.closing;
  }
}

/** What the frozen weights of a graph take. */
function weightBytes({ nodes }: Graph): number {
  return nodes.reduce(
    (sum, { op, output }) => sum + (op.kind === "weight" ? 4 * sizeOf(output.shape as number[]) : 0),
    0,
  );
}

class OnnxExecutable implements Executable {
  constructor(
    private readonly runtime: OnnxRuntime,
    readonly graph: Graph,
    private readonly session: number,
  ) {}

  async run(feeds: Readonly<Record<string, Feed>>, { keep = [], fetch }: RunOptions = {}): Promise<RunResult> {
    const shapes: Record<string, readonly number[]> = {};
    for (const name of Object.keys(this.graph.inputs)) {
      const feed = feeds[name];
      if (feed === undefined) throw new KindredError("shape_mismatch", `feed ${name} is missing`);
      shapes[name] = feed.shape;
    }
    bindFeeds(this.graph, shapes);
    const given: Record<string, Feed> = {};
    for (const name of Object.keys(this.graph.inputs)) given[name] = feeds[name] as Feed;
    const wanted = fetch ?? Object.keys(this.graph.outputs).filter((name) => !keep.includes(name));
    const reply = await this.runtime.ask({
      kind: "run",
      session: this.session,
      feeds: given,
      fetch: [...wanted],
      keep: [...keep],
    });
    const out = reply.tensors as Record<string, Returned>;
    return {
      tensors: Object.fromEntries(wanted.map((name) => [name, host(out[name] as Returned)])),
      resident: Object.fromEntries(keep.map((name) => [name, resident(out[name] as Returned)])),
    };
  }

  async release(): Promise<void> {
    await this.runtime.ask({ kind: "release", session: this.session });
  }
}

function host({ shape, data }: Returned): HostTensor {
  return { shape, data: data as Float32Array | Int32Array };
}

function resident({ shape, resident }: Returned): ResidentTensor {
  return { id: resident as number, shape };
}
