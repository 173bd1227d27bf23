/** A runtime whose engine runs in a worker thread, so that the caller's event loop stays free. This is the caller's side. */
import type { Worker } from "node:worker_threads";
import { KindredError } from "../base/errors.js";
import { bindFeeds } from "../graph/cost.js";
import type { Graph } from "../graph/graph.js";
import type { Reply, Request, Returned } from "./messages.js";
import type { Executable, Feed, HostTensor, ResidentTensor, RunOptions, RunResult, Runtime } from "./types.js";

type Unnumbered<T> = T extends unknown ? Omit<T, "id"> : never;

export class ThreadRuntime<Plan> implements Runtime {
  private readonly waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  private next = 1;
  private closing: Promise<void> | undefined;
  private dead: Error | undefined;

  /**
   * @param worker a thread whose script serves the same plans (serve.ts)
   * @param plan makes the plan of a graph, which the thread compiles
   */
  protected constructor(
    readonly name: string,
    private readonly worker: Worker,
    private readonly plan: (graph: Graph) => Plan,
  ) {
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
  async ask(request: Unnumbered<Request<Plan>>): Promise<Extract<Reply, { ok: true }>> {
    if (this.dead !== undefined) throw this.dead;
    const id = this.next++;
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.ref();
      this.worker.postMessage({ ...request, id });
    });
    if (!reply.ok) throw new KindredError(reply.code, `${this.name}: ${reply.message}`);
    return reply;
  }

  async compile(graph: Graph): Promise<Executable> {
    const reply = await this.ask({ kind: "compile", plan: this.plan(graph) });
    return new ThreadExecutable(this, graph, reply.program as number);
  }

  async upload(tensor: HostTensor): Promise<ResidentTensor> {
    const reply = await this.ask({ kind: "upload", tensor });
    return resident(reply.tensors!.tensor!);
  }

  async download(tensor: ResidentTensor): Promise<HostTensor> {
    const reply = await this.ask({ kind: "download", tensor: tensor.id });
    return host(reply.tensors!.tensor!);
  }

  free(...tensors: readonly ResidentTensor[]): void {
    if (this.dead === undefined && this.closing === undefined) {
      this.ask({ kind: "free", tensors: tensors.map(({ id }) => id) }).catch(() => {
        // The thread has ended, and its tensors are gone.
      });
    }
  }

  close(): Promise<void> {
    // The thread ends by itself after its engine has released everything: terminating it during a run aborts the process.
    this.closing ??= this.ask({ kind: "close" }).then(
      () => undefined,
      (error: unknown) => {
        if (this.dead === undefined) throw error; // a thread that has ended needs no closing
      },
    );
    return this.closing;
  }
}

class ThreadExecutable<Plan> implements Executable {
  constructor(
    private readonly runtime: ThreadRuntime<Plan>,
    readonly graph: Graph,
    private readonly program: number,
  ) {}

  async run(feeds: Readonly<Record<string, Feed>>, { keep = [], fetch }: RunOptions = {}): Promise<RunResult> {
    const given: Record<string, Feed> = {};
    const shapes: Record<string, readonly number[]> = {};
    for (const name of Object.keys(this.graph.inputs)) {
      const feed = feeds[name];
      if (feed === undefined) throw new KindredError("shape_mismatch", `feed ${name} is missing`);
      given[name] = feed;
      shapes[name] = feed.shape;
    }
    bindFeeds(this.graph, shapes);
    const wanted = fetch ?? Object.keys(this.graph.outputs).filter((name) => !keep.includes(name));
    const reply = await this.runtime.ask({
      kind: "run",
      program: this.program,
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
    await this.runtime.ask({ kind: "release", program: this.program });
  }
}

function host({ shape, data }: Returned): HostTensor {
  return { shape, data: data as Float32Array | Int32Array };
}

function resident({ shape, resident }: Returned): ResidentTensor {
  return { id: resident as number, shape };
}
