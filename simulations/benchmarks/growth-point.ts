/** One point of growth.ts in a process of its own: takes the case as JSON and prints its cost. */
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import { type EstimationCase, measureEstimation } from "./estimation.js";

const runtime = new OnnxRuntime();
const found = await measureEstimation(runtime, JSON.parse(process.argv[2] ?? "{}") as EstimationCase, () => {});
await runtime.close();
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
