/** The thread that holds ONNX Runtime: its `run` blocks its own event loop for the whole duration, so it has one to itself. */
import { parentPort } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import type { FeedData } from "../types.js";
import type { Reply, Request, Returned } from "./messages.js";

const sessions = new Map<number, ort.InferenceSession>();
const tensors = new Map<number, ort.Tensor>();
let next = 1;

function tensor(shape: readonly number[], data: FeedData): ort.Tensor {
  return data instanceof Int32Array ? new ort.Tensor("int32", data, shape) : new ort.Tensor("float32", data, shape);
}

function keep(value: ort.Tensor): Returned {
  const resident = next++;
  tensors.set(resident, value);
  return { shape: value.dims, resident };
}

async function serve(request: Request): Promise<Reply> {
  const { id } = request;
  switch (request.kind) {
    case "compile": {
      const { settings } = request;
      const session: Record<string, unknown> = {
        disable_prepacking: settings.prepack ? "0" : "1",
        intra_op: { allow_spinning: settings.spin > 0 ? "1" : "0", spin_duration_us: String(settings.spin) },
      };
      if (request.weightsFolder !== undefined) {
        session.model_external_initializers_file_folder_path = request.weightsFolder;
      }
      const created = await ort.InferenceSession.create(request.model, {
        executionProviders: [settings.provider],
        intraOpNumThreads: settings.threads,
        logSeverityLevel: 3,
        extra: { session },
      });
      const number = next++;
      sessions.set(number, created);
      return { id, ok: true, session: number };
    }
    case "run": {
      const feeds: Record<string, ort.Tensor> = {};
      for (const [name, feed] of Object.entries(request.feeds)) {
        const value = "data" in feed ? tensor(feed.shape, feed.data) : tensors.get(feed.id);
        if (value === undefined) throw new Error(`feed ${name}: the tensor was freed`);
        feeds[name] = value;
      }
      const session = sessions.get(request.session);
      if (session === undefined) throw new Error("the session was released");
      const results = await session.run(
        feeds,
        [...request.fetch, ...request.keep].map((name) => `out:${name}`),
      );
      const out: Record<string, Returned> = {};
      for (const name of request.fetch) {
        const value = results[`out:${name}`] as ort.Tensor;
        out[name] = { shape: value.dims, data: value.data as FeedData };
      }
      for (const name of request.keep) out[name] = keep(results[`out:${name}`] as ort.Tensor);
      return { id, ok: true, tensors: out };
    }
    case "upload":
      return { id, ok: true, tensors: { tensor: keep(tensor(request.shape, request.data)) } };
    case "download": {
      const value = tensors.get(request.tensor);
      if (value === undefined) throw new Error("the tensor was freed");
      return { id, ok: true, tensors: { tensor: { shape: value.dims, data: value.data as FeedData } } };
    }
    case "free":
      for (const number of request.tensors) tensors.delete(number);
      return { id, ok: true };
    case "release": {
      const session = sessions.get(request.session);
      sessions.delete(request.session);
      await session?.release();
      return { id, ok: true };
    }
    case "close":
      tensors.clear();
      for (const session of sessions.values()) await session.release();
      sessions.clear();
      return { id, ok: true };
  }
}

const port = parentPort;
if (port === null) throw new Error("not a worker thread");
// One request after the other: a later one may name a tensor that an earlier one keeps.
let queue: Promise<void> = Promise.resolve();
port.on("message", (request: Request) => {
  queue = queue.then(async () => {
    let reply: Reply;
    try {
      reply = await serve(request);
    } catch (error) {
      reply = { id: request.id, ok: false, message: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
    if (request.kind === "close") port.close();
  });
});
