/**
 * The thread's side of a runtime: serves one request after another with an engine; tensors and compiled graphs have numbers. An engine
 * blocks its event loop while it runs, and therefore has a thread.
 */
import { parentPort } from "node:worker_threads";
import { asKindredError, KindredError } from "../base/errors.js";
import type { Reply, Request, Returned } from "./messages.js";
import type { HostTensor } from "./types.js";

/** Compiles and runs graphs. Tensors that it returns belong to the caller until `dispose`. */
export interface Engine<Plan, CompiledGraph, Tensor> {
  compile(plan: Plan): Promise<CompiledGraph>;
  /** Runs a graph. @param outputs names, each once. @returns the outputs by name */
  run(
    program: CompiledGraph,
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, Tensor>>>;
  release(program: CompiledGraph): Promise<void>;
  tensor(value: HostTensor): Tensor;
  shape(tensor: Tensor): readonly number[];
  read(tensor: Tensor): Promise<HostTensor>;
  dispose(tensor: Tensor): void;
}

/** Serves requests with an engine. */
export class Service<Plan, CompiledGraph, Tensor> {
  private readonly compiledGraphs = new Map<number, CompiledGraph>();
  private readonly tensors = new Map<number, Tensor>();
  private loaded: Promise<Engine<Plan, CompiledGraph, Tensor>> | undefined;
  private next = 1;

  /** @param load called once, at the first request. An engine that cannot be loaded is the error of every request */
  constructor(private readonly load: () => Promise<Engine<Plan, CompiledGraph, Tensor>>) {}

  async handle(request: Request<Plan>): Promise<Reply> {
    const { id } = request;
    try {
      this.loaded ??= this.load();
      return { id, ok: true, ...(await this.serve(await this.loaded, request)) };
    } catch (error) {
      const { code, message } = asKindredError(error);
      return { id, ok: false, code, message };
    }
  }

  private async serve(
    engine: Engine<Plan, CompiledGraph, Tensor>,
    request: Request<Plan>,
  ): Promise<{ program?: number; tensors?: Record<string, Returned> }> {
    switch (request.kind) {
      case "compile": {
        const program = this.next++;
        this.compiledGraphs.set(program, await engine.compile(request.plan));
        return { program };
      }
      case "run":
        return { tensors: await this.run(engine, request) };
      case "upload":
        return { tensors: { tensor: this.keep(engine, engine.tensor(request.tensor)) } };
      case "download":
        return { tensors: { tensor: await engine.read(this.tensor(request.tensor, "the tensor")) } };
      case "free":
        for (const number of request.tensors) this.free(engine, number);
        return {};
      case "release": {
        const program = this.compiledGraphs.get(request.program);
        this.compiledGraphs.delete(request.program);
        if (program !== undefined) await engine.release(program);
        return {};
      }
      case "close":
        for (const number of [...this.tensors.keys()]) this.free(engine, number);
        for (const program of this.compiledGraphs.values()) await engine.release(program);
        this.compiledGraphs.clear();
        return {};
    }
  }

  private async run(
    engine: Engine<Plan, CompiledGraph, Tensor>,
    { program, feeds, fetch, keep }: Extract<Request<Plan>, { kind: "run" }>,
  ): Promise<Record<string, Returned>> {
    const compiled = this.compiledGraphs.get(program);
    if (compiled === undefined) throw new KindredError("internal", "the program was released");
    const mine: Tensor[] = [];
    try {
      const given: Record<string, Tensor> = {};
      for (const [name, feed] of Object.entries(feeds)) {
        const tensor = "data" in feed ? engine.tensor(feed) : this.tensor(feed.id, `feed ${name}`);
        if ("data" in feed) mine.push(tensor);
        given[name] = tensor;
      }
      const results = await engine.run(compiled, given, [...new Set([...fetch, ...keep])]);
      const out: Record<string, Returned> = {};
      for (const name of fetch) out[name] = await engine.read(results[name] as Tensor);
      for (const [name, tensor] of Object.entries(results)) {
        if (keep.includes(name)) out[name] = { ...out[name], ...this.keep(engine, tensor) };
        else engine.dispose(tensor);
      }
      return out;
    } finally {
      for (const tensor of mine) engine.dispose(tensor);
    }
  }

  private keep(engine: Engine<Plan, CompiledGraph, Tensor>, tensor: Tensor): Returned {
    const resident = this.next++;
    this.tensors.set(resident, tensor);
    return { shape: engine.shape(tensor), resident };
  }

  private tensor(number: number, what: string): Tensor {
    const tensor = this.tensors.get(number);
    if (tensor === undefined) throw new KindredError("internal", `${what} was freed`);
    return tensor;
  }

  private free(engine: Engine<Plan, CompiledGraph, Tensor>, number: number): void {
    const tensor = this.tensors.get(number);
    this.tensors.delete(number);
    if (tensor !== undefined) engine.dispose(tensor);
  }
}

/** Serves the thread's parent until a `close` request. */
export function serve<Plan, CompiledGraph, Tensor>(load: () => Promise<Engine<Plan, CompiledGraph, Tensor>>): void {
  const port = parentPort;
  if (port === null) throw new Error("not a worker thread");
  const service = new Service(load);
  // One request after another: a request may name a tensor that an earlier one keeps.
  let queue: Promise<void> = Promise.resolve();
  port.on("message", (request: Request<Plan>) => {
    queue = queue.then(async () => {
      port.postMessage(await service.handle(request));
      if (request.kind === "close") port.close();
    });
  });
}
