/**
 * The rows of all clients as tensors on a runtime, and copies of the rows of a few clients. It knows nothing of what is computed with
 * them.
 */
import type { RuntimeScope } from "../../shared/runtimes/scope.js";
import type { Executable, ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import type { LogisticRows } from "../../shared/sketch/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import type { TrainRows } from "./lockstep.js";
import { type Placement, placeRows } from "./placement.js";
import { type EstimationProblem, rowWeights } from "./problem.js";

/** Margin against a negative that pads a term: e^-1e9 is 0. */
const NO_NEGATIVE = 1e9;
/** The rows of a batch's clients are copied for the batch where at most this share of all clients takes part. */
const FEW = 0.5;

export interface ResidentRows extends Placement {
  readonly sketch: ResidentTensor;
  readonly margin: ResidentTensor;
}

/** @param factor multiplies the sketches */
export async function uploadRows(
  scope: RuntimeScope,
  parts: readonly LogisticRows[],
  dim: number,
  factor: number,
): Promise<ResidentRows> {
  const placement = placeRows(parts, dim);
  const { clients, rows, single } = placement.sizes;
  const yieldToEventLoop = eventLoopYield();
  const sketch = new Float32Array(clients * rows * dim);
  const margin = new Float32Array(clients * rows);
  for (const [i, part] of parts.entries()) {
    await yieldToEventLoop();
    margin.fill(NO_NEGATIVE, i * rows + single, (i + 1) * rows);
    placement.row[i]!.forEach((place, r) => {
      const to = (i * rows + place) * dim;
      for (let d = 0; d < dim; d++) sketch[to + d] = part.sketch[r * dim + d]! * factor;
      margin[i * rows + place] = part.margin[r]!;
    });
  }
  return {
    ...placement,
    sketch: await scope.upload({ shape: [clients, rows, dim], data: sketch }),
    margin: await scope.upload({ shape: [clients, 1, rows], data: margin }),
  };
}

/** The weight of each training row where a fold is held out. @returns [clients, folds, rows]; one fold where there are none */
export async function uploadWeights(
  scope: RuntimeScope,
  problem: EstimationProblem,
  { sizes: { clients, rows }, row }: Placement,
): Promise<ResidentTensor> {
  const folds = problem.folds?.count ?? 1;
  const data = new Float32Array(clients * folds * rows);
  for (let i = 0; i < clients; i++)
    for (let fold = 0; fold < folds; fold++) {
      const weights = rowWeights(problem, i, problem.folds && fold);
      const from = (i * folds + fold) * rows;
      row[i]!.forEach((place, r) => {
        data[from + place] = weights[r]!;
      });
    }
  return scope.upload({ shape: [clients, folds, rows], data });
}

/** The clients in these lists, ascending; undefined where they are more than a few. */
export function fewClients(lists: readonly ArrayLike<number>[], clients: number): Int32Array | undefined {
  const found = new Set<number>();
  for (const list of lists) for (let s = 0; s < list.length; s++) found.add(list[s]!);
  return found.size <= FEW * clients ? Int32Array.from(found).sort() : undefined;
}

/**
 * Solves on copies of the rows of the subsets' members where these are few: every product of a batch reads the sketches of all clients
 * that it is given, and a search asks about one group of 50 among 500 clients again and again.
 *
 * @param select copies the rows of chosen clients (`selectGraph`)
 * @param solve gets the subsets as indices into the rows that it is given
 */
export async function withMembers<T>(
  runtime: Runtime,
  select: Executable,
  rows: TrainRows,
  subsets: readonly ArrayLike<number>[],
  solve: (subsets: readonly ArrayLike<number>[], rows: TrainRows) => Promise<T>,
): Promise<T> {
  const { sizes, meanSquares, folds } = rows;
  const chosen = fewClients(subsets, sizes.clients);
  if (chosen === undefined) return solve(subsets, rows);
  const { sketch, margin, weight } = rows;
  const { resident } = await select.run(
    { sketch, margin, weight, chosen: { shape: [chosen.length], data: chosen } },
    { keep: ["sketch", "margin", "weight"] },
  );
  const place = new Map(Array.from(chosen, (client, at) => [client, at]));
  const own = new Float32Array(chosen.length * sizes.dim);
  chosen.forEach((client, at) => {
    own.set(meanSquares.subarray(client * sizes.dim, (client + 1) * sizes.dim), at * sizes.dim);
  });
  try {
    return await solve(
      subsets.map((subset) => Int32Array.from(subset, (client) => place.get(client)!)),
      {
        sizes: { ...sizes, clients: chosen.length },
        sketch: resident.sketch!,
        margin: resident.margin!,
        weight: resident.weight!,
        meanSquares: own,
        folds,
      },
    );
  } finally {
    runtime.free(resident.sketch!, resident.margin!, resident.weight!);
  }
}
