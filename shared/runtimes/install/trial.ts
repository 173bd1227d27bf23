/** A process that loads the TensorFlow.js package whose folder it is given, and ends with 0 where it multiplies rightly. */
import { createRequire } from "node:module";

interface Tensor {
  matMul(other: Tensor): Tensor;
  dataSync(): Float32Array;
}

const require = createRequire(import.meta.url);
// Two functions of node:util that tfjs-node 4.22 calls and Node 23 has removed.
const util = require("node:util") as Record<string, unknown>;
util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
util.isArray ??= Array.isArray;

const tf = require(process.argv[2]!) as {
  getBackend(): string;
  tensor2d(rows: readonly (readonly number[])[]): Tensor;
};
const a = tf.tensor2d([
  [1, 2],
  [3, 4],
]);
const product = [...a.matMul(a).dataSync()].join();
if (tf.getBackend() !== "tensorflow" || product !== "7,10,15,22") {
  process.stderr.write(`the backend ${tf.getBackend()} computes ${product}\n`);
  process.exit(1);
}
