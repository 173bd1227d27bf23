/**
 * Wide sketches reduced to their leading principal axes. The cost of surrogates grows with the width of the sketches, and the error of a
 * random projection falls with it; but most of the energy of a wide sketch lies in few directions. Measured on twelve text sets'
 * sketches of 1,600 numbers (SmolLM2-135M, margins against negatives): 400 axes hold 92 % of the energy. The loss of one adapter for
 * all clients is estimated at 2.37 nats per row in these axes, at 2.06 by all 1,600 numbers with more than four times the work, and at
 * 3.06 by random projections to 400 numbers; the real loss is 1.20.
 *
 * It knows nothing of surrogates.
 */
import { GraphBuilder } from "../../shared/graph/graph.js";
import { withScope } from "../../shared/runtimes/scope.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import type { LogisticRows } from "../../shared/sketch/types.js";
import { eventLoopYield } from "../algebra/yield.js";
import { leadingAxes } from "./axes.js";
import type { EstimationProblem } from "./problem.js";

/** Axes that are kept. */
const KEPT_AXES = 400;

/**
 * The same problem in its leading axes; the problem itself where it is no wider. The unit of the sketches stays that of the wide ones,
 * and so does the meaning of a lambda.
 */
export async function reduceToPrincipalAxes(
  problem: EstimationProblem,
  runtime: Runtime,
  { axes = KEPT_AXES, signal }: { readonly axes?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<EstimationProblem> {
  const { dim } = problem;
  if (dim <= axes) return problem;
  const yieldToEventLoop = eventLoopYield(signal);
  await yieldToEventLoop();
  const basis = { shape: [dim, axes], data: await leadingAxes(problem, axes, runtime) };
  const g = new GraphBuilder();
  const graph = g.build({ reduced: g.matmul(g.input("sketch", ["rows", dim]), g.input("basis", [dim, axes])) });
  return withScope(runtime, async (scope) => {
    const executable = await scope.compile(graph);
    const resident = await scope.upload(basis);
    const reduced = async (part: LogisticRows): Promise<LogisticRows> => {
      await yieldToEventLoop();
      const sketch = { shape: [part.margin.length, dim], data: part.sketch };
      const { tensors } = await executable.run({ sketch, basis: resident });
      return { ...part, dim: axes, sketch: tensors.reduced!.data as Float32Array };
    };
    const train: LogisticRows[] = [];
    const validation: LogisticRows[] = [];
    for (const [i, part] of problem.train.entries()) {
      train.push(await reduced(part));
      validation.push(await reduced(problem.validation[i]!));
    }
    return { ...problem, dim: axes, sentDim: dim, train, validation };
  });
}
