/**
 * Ensemble weights of one client: the convex fit of w >= 0 in z = z_0 + sum of w_j (z_j - z_0) to validation rows, shrunk towards a
 * prior by `strength / rows`, so that few rows move the weights little.
 *
 * Objective: mean negative log-likelihood per scored token + strength / rows x |w - prior|^2 / 2. Newton's method with the exact
 * Hessian (there are few members); each step is a small quadratic program over w >= 0, halved until the objective falls.
 */
import { type Graph, GraphBuilder, type Value } from "../../shared/graph/graph.js";
import { weightAlternatives } from "../../tasks/fit-weights/message.js";
import type { EncodedRow } from "../data/types.js";
import type { Adapters } from "./adapter.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { notFinite } from "./finite.js";
import { mixedNll, mixFactors } from "./mixing.js";
import { negativeLogLikelihood } from "./objective.js";
import { keepLogits } from "./scoring.js";

export interface EnsembleFit {
  readonly weights: readonly number[];
  /** Scored tokens of the rows. */
  readonly tokens: number;
  /** The tokens' summed negative log-likelihood under each of `weightAlternatives`, nats. */
  readonly nllSums: readonly number[];
}

/** `nll` (summed), `gradient` [M] and `curvature` [M, M] in the weights, from `logits` [1 + M, S, V], the base model's first. */
function weightsGraph(members: number): Graph {
  const g = new GraphBuilder();
  const logits = g.input("logits", [members + 1, "S", "V"]);
  const targets = g.input("targets", ["S", 1], "int32");
  const weights = g.input("weights", [1, members]);
  const base = g.slice(logits, 0, 0, 1);
  const differences = g.sub(g.slice(logits, 0, 1, members), base);
  const flat = (value: Value): Value => g.reshape(value, [members, "S*V"]);
  const mixed = g.reshape(g.add(base, g.reshape(g.matmul(weights, flat(differences)), [1, "S", "V"])), ["S", "V"]);
  const nll = g.total(negativeLogLikelihood(g, mixed, targets));
  // Along member j: d nll = E_p[D_j] - D_j(target); d2 nll = Cov_p(D_j, D_k).
  const weighted = g.mul(g.softmax(mixed), differences);
  const mean = g.sum(weighted, [2]);
  const everywhere = g.flattenFront(g.expand(targets, [members, "S", 1]), 2);
  const right = g.reshape(g.pick(g.flattenFront(differences, 2), everywhere), [members, "S"]);
  const gradient = g.sum(g.sub(mean, right), [1]);
  const curvature = g.sub(
    g.matmul(flat(weighted), flat(differences), { transB: true }),
    g.matmul(mean, mean, { transB: true }),
  );
  return g.build({ nll, gradient, curvature });
}

/** The convex fit's penalty. */
export interface WeightPrior {
  /** One weight per member. */
  readonly prior: readonly number[];
  /** Number of rows that the prior counts as; above 0. */
  readonly strength: number;
}

export interface WeightFitHooks {
  readonly meter: Meter;
  /** Told of the share of the work that is done, 0 .. 1. */
  readonly onShare?: (share: number) => void;
}

/** Of the work: the rest are the steps of the fit, whose number is not known before. */
const FORWARD_SHARE = 0.8;

/** Fits weights to rows. @throws {KindredError} `task_failed` where the logits of a row are not finite */
export async function fitEnsembleWeights(
  compiledGraphs: CompiledGraphs,
  adapters: Adapters,
  rows: readonly EncodedRow[],
  { prior, strength }: WeightPrior,
  { meter, onShare }: WeightFitHooks,
): Promise<EnsembleFit> {
  const count = adapters.members.length;
  const kept = await keepLogits(compiledGraphs, adapters, rows, {
    meter,
    onBatch: (_, done, of) => onShare?.((FORWARD_SHARE * done) / of),
  });
  const tokens = kept.reduce((sum, batch) => sum + batch.tokens, 0);
  const penalty = strength / rows.length;
  const program = await compiledGraphs.get(`weights-${count}`, undefined, () => weightsGraph(count));
  const evaluate = async (weights: readonly number[]) => {
    let value = 0;
    const gradient = new Float64Array(count);
    const curvature = new Float64Array(count * count);
    for (const { logits, targets } of kept) {
      const { tensors } = await meter.run(program, {
        logits,
        targets,
        weights: { shape: [1, count], data: Float32Array.from(weights) },
      });
      value += (tensors.nll!.data[0] as number) / tokens;
      tensors.gradient!.data.forEach((x, j) => {
        gradient[j] = (gradient[j] as number) + x / tokens;
      });
      tensors.curvature!.data.forEach((x, j) => {
        curvature[j] = (curvature[j] as number) + x / tokens;
      });
    }
    for (let j = 0; j < count; j++) {
      const away = (weights[j] as number) - (prior[j] as number);
      value += (penalty * away * away) / 2;
      gradient[j] = (gradient[j] as number) + penalty * away;
      curvature[j * count + j] = (curvature[j * count + j] as number) + penalty + 1e-9;
    }
    return { value, gradient, curvature };
  };
  let weights = [...prior];
  let here = await evaluate(weights);
  if (!Number.isFinite(here.value)) throw notFinite(here.value);
  for (let iteration = 0; iteration < 50; iteration++) {
    const target = nonnegativeQuadratic(weights, here.gradient, here.curvature);
    const move = target.map((w, j) => w - (weights[j] as number));
    const slope = move.reduce((sum, m, j) => sum + m * (here.gradient[j] as number), 0);
    if (slope > -1e-9) break;
    let scale = 1;
    for (;;) {
      const next = weights.map((w, j) => w + scale * (move[j] as number));
      const there = await evaluate(next);
      if (there.value <= here.value + 1e-4 * scale * slope) {
        weights = next;
        here = there;
        break;
      }
      scale /= 2;
      if (scale < 1e-6) break;
    }
    if (scale < 1e-6) break; // no descent left at float32's precision
  }
  const nllSums: number[] = [];
  for (const alternative of weightAlternatives(weights, prior)) {
    let sum = 0;
    for (const { logits, targets } of kept) {
      for (const nll of await mixedNll(compiledGraphs, meter, logits, mixFactors(alternative), targets)) sum += nll;
    }
    nllSums.push(sum);
  }
  compiledGraphs.free(...kept.map(({ logits }) => logits));
  return { weights, tokens, nllSums };
}

/** argmin over v >= 0 of gradient.(v - w) + (v - w)^T curvature (v - w) / 2, by coordinate descent to convergence. */
function nonnegativeQuadratic(w: readonly number[], gradient: Float64Array, curvature: Float64Array): number[] {
  const count = w.length;
  const v = [...w];
  for (let sweep = 0; sweep < 1000; sweep++) {
    let moved = 0;
    for (let j = 0; j < count; j++) {
      let slope = gradient[j] as number;
      for (let k = 0; k < count; k++) {
        slope += (curvature[j * count + k] as number) * ((v[k] as number) - (w[k] as number));
      }
      const next = Math.max(0, (v[j] as number) - slope / (curvature[j * count + j] as number));
      moved = Math.max(moved, Math.abs(next - (v[j] as number)));
      v[j] = next;
    }
    if (moved < 1e-9) break;
  }
  return v;
}
