/** A process that loads the TensorFlow.js package whose folder it is given, and ends with 0 where it multiplies rightly. */
import { createRequire } from "node:module";
import { restoreUtil } from "./shims.js";

interface Tensor {
  matMul(other: Tensor): Tensor;
  dataSync(): Float32Array;
}

restoreUtil();
const tf = createRequire(import.meta.url)(process.argv[2]!) as {
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
  process.exitCode = 1;
}
