/** One population of planted-groups.ts in a process of its own: takes the case as JSON and prints the result. */
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import { measurePlantedGroups, type PlantedCase } from "./planted-groups.js";

const runtime = new OnnxRuntime();
const found = await measurePlantedGroups(runtime, JSON.parse(process.argv[2] ?? "{}") as PlantedCase);
await runtime.close();
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
