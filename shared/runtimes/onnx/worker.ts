/** The thread that holds ONNX Runtime. */
import * as ort from "onnxruntime-node";
import { type Engine, serve } from "../serve.js";
import type { FeedData } from "../types.js";
import type { OnnxPlan } from "./runtime.js";

const engine: Engine<OnnxPlan, ort.InferenceSession, ort.Tensor> = {
  compile({ model, weightsFolder, provider, threads, prepack, spin }) {
    const session: Record<string, unknown> = {
      disable_prepacking: prepack ? "0" : "1",
      intra_op: { allow_spinning: spin > 0 ? "1" : "0", spin_duration_us: String(spin) },
    };
    if (weightsFolder !== undefined) session.model_external_initializers_file_folder_path = weightsFolder;
    return ort.InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
      extra: { session },
    });
  },

  async run(session, feeds, outputs) {
    const results = await session.run(
      feeds,
      outputs.map((name) => `out:${name}`),
    );
    return Object.fromEntries(outputs.map((name) => [name, results[`out:${name}`] as ort.Tensor]));
  },

  release: (session) => session.release(),

  tensor: ({ shape, data }) =>
    data instanceof Int32Array ? new ort.Tensor("int32", data, shape) : new ort.Tensor("float32", data, shape),

  shape: ({ dims }) => dims,

  read: async ({ dims, data }) => ({ shape: dims, data: data as FeedData }),

  // Tensors lie in this thread's own memory, which is collected.
  dispose() {},
};

serve(async () => engine);
