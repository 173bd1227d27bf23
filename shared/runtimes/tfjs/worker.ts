/** The thread of TensorFlow.js. */
import { workerData } from "node:worker_threads";
import { serve } from "../serve.js";
import { loadBackend, type TfjsBackend } from "./backends.js";
import { TfjsEngine } from "./engine.js";

serve(async () => new TfjsEngine(await loadBackend(workerData as TfjsBackend)));
