/** The thread of ONNX Runtime. */
import { preloadCuda } from "../install/installed.js";
import { type Engine, serve } from "../serve.js";
import type { FeedData } from "../types.js";
import { loadOnnxRuntime, type Tensor } from "./library.js";
import type { OnnxPlan } from "./runtime.js";
import { type HeldSession, Sessions } from "./sessions.js";

/** Bytes of weights in open sessions: three sessions of a model of 135 M parameters. */
const OPEN_SESSION_BYTES = 2 ** 31;

/** Packed weights must stay packed: with known shapes, constant folding would make float32 copies when the session is created. */
const KEEP_PACKED = { disable_specified_optimizers: "ConstantFolding" };

async function openEngine(): Promise<Engine<OnnxPlan, HeldSession<OnnxPlan>, Tensor>> {
  const ort = await loadOnnxRuntime();
  const sessions = new Sessions<OnnxPlan>(
    ({ model, weightsFolder, provider, threads, prepack, spin, packed }) => {
      if (provider === "cuda") preloadCuda();
      const session: Record<string, unknown> = {
        disable_prepacking: prepack ? "0" : "1",
        intra_op: { allow_spinning: spin > 0 ? "1" : "0", spin_duration_us: String(spin) },
      };
      if (weightsFolder !== undefined) session.model_external_initializers_file_folder_path = weightsFolder;
      return ort.InferenceSession.create(model, {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        logSeverityLevel: 3,
        // A memory pattern (one block for all activations) would be kept beside the arena that the first run filled: 1 GB more in a
        // training step of 135 M parameters (3.5 and 2.3 GB), for every length of the sequences, without saving time.
        enableMemPattern: false,
        extra: { session, ...(packed ? { optimization: KEEP_PACKED } : {}) },
      });
    },
    ({ lowMemory, weightBytes }) => (lowMemory ? 2 * weightBytes : OPEN_SESSION_BYTES),
  );

  return {
    compile: (plan) => sessions.hold(plan),

    async run(held, feeds, outputs) {
      const session = await sessions.use(held);
      const results = await session.run(
        feeds,
        outputs.map((name) => `out:${name}`),
      );
      return Object.fromEntries(outputs.map((name) => [name, results[`out:${name}`] as Tensor]));
    },

    release: (held) => sessions.release(held),

    tensor: ({ shape, data }) =>
      data instanceof Int32Array ? new ort.Tensor("int32", data, shape) : new ort.Tensor("float32", data, shape),

    shape: ({ dims }) => dims,

    read: async ({ dims, data }) => ({ shape: dims, data: data as FeedData }),

    // Tensors are in this thread's memory, which is garbage collected.
    dispose() {},
  };
}

serve(openEngine);
