/**
 * Calibration of the estimate against real losses, from the few trainings that a run with baselines has done anyway:
 *
 *   -f_i(S) = r_i (1 + b_i (e_i(S) / e_i({i}) - 1)) + c_i s_i(S),   r_i the real loss of i's own adapter, e_i the surrogate's loss
 *
 * b_i is the real effect of joint training for i, the change from its own adapter to one for all clients, divided by the effect that
 * the surrogates predict. It is bounded; clients without both real losses get the least squares fit to those with both, or 1 where there
 * are none. A linearised model predicts the level of a client's loss badly, but the effects of joint training well, as shares of that
 * level; it overestimates them, for some clients far more than for others.
 *
 * Surrogates are solved to their optimum, while a client that trains alone is left half trained after its few steps. This effect shows
 * where the adapter for all is better for i than even the least b_i allows: the rest of the difference is c_i, at most 0, the gain by the
 * others' training steps, of which a subset gives the share s_i(S) (`transferShare`).
 *
 * Measured against real losses of the estimated rows (a model of 3 million parameters, sketches of 3,200 numbers in 400 axes,
 * ten sets, 49 subsets of three, two tunings each): mean error 22 % without calibration, 18 % with one b for all, 14 % with one b per
 * client; Spearman's correlation of the effects of joint training 0.51, 0.35, 0.62; error on test rows 30, 29 and 21 %. A second real
 * tuning, with rows in another order, differs by 12 %. Adding the difference instead of multiplying by the ratio errs more (13 % against
 * 11 %, eight sets, own adapters alone). The ranking of affinities within a row hardly changes. These numbers are for margins against
 * negatives: over the whole vocabulary the surrogates predict almost no loss, and there is no level to calibrate. It knows nothing of
 * the origin of the real losses.
 */
import { KindredError } from "../../shared/base/errors.js";
import { mean } from "./evaluate.js";
import { fitHeldOut, type HeldOutFits } from "./held-out.js";
import type { AffineCalibration } from "./problem.js";
import type { SurrogateSolver } from "./surrogate.js";

/** Losses of trained adapters on each client's held-out examples, nats per example, by the client's name. */
export interface RealLosses {
  /** Under an adapter tuned on the client's rows alone. */
  readonly own: ReadonlyMap<string, number>;
  /** Under one adapter tuned on all clients' rows; empty: the effects of joint training are those of the surrogates. */
  readonly common: ReadonlyMap<string, number>;
}

/**
 * Bound of r_i / e_i and its inverse. The surrogate of a client with few rows may have almost no loss; its level then means nothing and
 * must not dominate the other clients.
 */
const LARGEST_FACTOR = 100;
/** Bounds of b_i: the effect of joint training is neither inverted nor amplified without limit. */
const SLOPES = { least: 0.1, most: 2 } as const;

/**
 * A solver with calibrated held-out losses. Its `close` closes the given solver.
 *
 * @param real a client whose own loss is missing gets the geometric mean of the others' factors r_i / e_i
 * @throws {KindredError} `invalid_data` for a loss that is not a positive number, naming the client
 */
export async function calibrated(solver: SurrogateSolver, real: RealLosses): Promise<SurrogateSolver> {
  const { clients } = solver.problem;
  const { own, common } = real;
  check(own);
  check(common);
  const everyone = clients.map((_, i) => i);
  // All clients are fitted alone: e_i({i}) is also the fixed point of the calibration of clients without a real loss.
  const alone = lossesOf(
    await fitHeldOut(
      solver,
      everyone.map((i) => [i]),
    ),
  ).flat();
  const logs = clients.map((client, i) => {
    const known = own.get(client);
    return known === undefined ? undefined : Math.log(bounded(known / alone[i]!, 1 / LARGEST_FACTOR, LARGEST_FACTOR));
  });
  const known = Float64Array.from(logs.filter((log) => log !== undefined));
  const usual = known.length > 0 ? mean(known) : 0;
  const factors = logs.map((log) => Math.exp(log ?? usual));
  const effects =
    common.size > 0
      ? await effectsOf(solver, real, { alone, factors })
      : factors.map((): TransferEffect => ({ slope: 1, steps: 0 }));
  const affineCalibrations = factors.map((factor, i): AffineCalibration => {
    const { slope, steps } = effects[i]!;
    return { scale: factor * slope, offset: factor * alone[i]! * (1 - slope), steps };
  });
  return {
    problem: { ...solver.problem, affineCalibrations },
    plan: solver.plan,
    fit: (...given) => solver.fit(...given),
    exampleLosses: (...given) => solver.exampleLosses(...given),
    rowMargins: (...given) => solver.rowMargins(...given),
    close: () => solver.close(),
  };
}

/** The effect of joint training on a client. */
interface TransferEffect {
  /** b_i */
  readonly slope: number;
  /** c_i, nats. */
  readonly steps: number;
}

/** One effect per client. @param alone e_i({i}). @param factors r_i / e_i({i}), bounded */
async function effectsOf(
  solver: SurrogateSolver,
  { own, common }: RealLosses,
  { alone, factors }: { readonly alone: readonly number[]; readonly factors: readonly number[] },
): Promise<TransferEffect[]> {
  const { clients } = solver.problem;
  const [together] = lossesOf(await fitHeldOut(solver, [clients.map((_, i) => i)]));
  let products = 0;
  let squares = 0;
  const effects = clients.map((client, i): TransferEffect | undefined => {
    const before = own.get(client);
    const after = common.get(client);
    if (before === undefined || after === undefined) return undefined;
    const predicted = factors[i]! * (together![i]! - alone[i]!);
    products += predicted * (after - before);
    squares += predicted ** 2;
    if (predicted === 0) return undefined;
    const slope = bounded((after - before) / predicted, SLOPES.least, SLOPES.most);
    return { slope, steps: Math.min(0, after - before - slope * predicted) };
  });
  const usual = squares > 0 ? bounded(products / squares, SLOPES.least, SLOPES.most) : 1;
  return effects.map((effect) => effect ?? { slope: usual, steps: 0 });
}

/** Mean held-out losses of each subset's members. */
const lossesOf = ({ losses }: HeldOutFits): number[][] => losses.map((members) => members.map(mean));

const bounded = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

function check(losses: ReadonlyMap<string, number>): void {
  for (const [client, loss] of losses)
    if (!(loss > 0 && Number.isFinite(loss)))
      throw new KindredError(
        "invalid_data",
        `the real loss of client ${client} must be a number above 0, got ${loss}`,
        { client, loss },
      );
}
