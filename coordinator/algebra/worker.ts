/** The thread of `decomposeApart`: it decomposes one matrix and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { decompose } from "./eigen.js";

const { matrix, size } = workerData as { matrix: Float64Array; size: number };
parentPort!.postMessage(decompose(matrix, size));
