/**
 * Eigenpairs of symmetric matrices by ml-matrix; of large ones in a thread of their own, since the event loop would stand still for
 * 0.4 s at 400 rows and 0.8 s at 500. It knows nothing of what a matrix stands for.
 */
import { Worker } from "node:worker_threads";
import { EigenvalueDecomposition, Matrix } from "ml-matrix";

/** All n eigenpairs, by falling eigenvalue. */
export interface EigenPairs {
  readonly values: Float64Array;
  /** [n, n], an eigenvector per row. */
  readonly vectors: Float64Array;
}

/** Takes 10 ms, as long as a thread takes to start. */
const INLINE_SIZE = 100;

/** @param matrix [size, size]; its symmetric part is what counts */
export function decompose(matrix: ArrayLike<number>, size: number): EigenPairs {
  const symmetric = Matrix.zeros(size, size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      const value = (matrix[i * size + j]! + matrix[j * size + i]!) / 2;
      symmetric.set(i, j, value);
      symmetric.set(j, i, value);
    }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const values = Float64Array.from(realEigenvalues).reverse();
  const vectors = new Float64Array(size * size);
  for (let c = 0; c < size; c++)
    for (let i = 0; i < size; i++) vectors[c * size + i] = eigenvectorMatrix.get(i, size - 1 - c);
  return { values, vectors };
}

/** As `decompose`, while the event loop goes on. */
export async function decomposeApart(matrix: Float64Array, size: number): Promise<EigenPairs> {
  if (size <= INLINE_SIZE) return decompose(matrix, size);
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: { matrix, size } });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    // Of no effect once it has sent its pairs.
    worker.once("exit", (code) => reject(new Error(`the thread of an eigenproblem ended with ${code} and no result`)));
  });
}
