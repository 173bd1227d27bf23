/**
 * The learning rate, where it is not given: a short sweep on one set of weights for all, judged by pooled validation loss. That of
 * the shared adapter serves every method with adapters alike. Training all weights has a sweep of its own, because all weights bear
 * far smaller steps only.
 */
import { FULL } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { RunPlan } from "../../shared/config/config.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { TunedSpec } from "../../shared/wire/types.js";
import { beginStage, type EventInfo, lossFact } from "../events/events.js";
import { faultText } from "../run/cohort.js";
import { trainFederated } from "./train.js";
import type { TrainingParts } from "./training-job.js";

export interface SweepOutcome {
  readonly learningRate: number;
  readonly trials: readonly { readonly learningRate: number; readonly validationLoss: number | null }[];
}

/** What a sweep is for. */
export interface SweepSubject {
  /** Of tasks and stages. */
  readonly name: string;
  readonly adapter: TunedSpec;
  readonly learningRate: "auto" | number;
  /** Where the configuration has it. */
  readonly option: string;
  /** Rates tried first, about a factor of 3 apart; the sweep goes on beyond an end that is best. */
  readonly first: readonly number[];
}

export const adapterSweep = ({
  adapter,
  seed,
  training,
}: Pick<RunPlan, "adapter" | "seed" | "training">): SweepSubject => ({
  name: "sweep",
  adapter: { ...adapter, initSeed: seed },
  learningRate: training.learningRate,
  option: "training.learningRate",
  first: [1e-3, 3e-3, 1e-2],
});

export const fullSweep = ({ seed }: Pick<RunPlan, "seed">, learningRate: "auto" | number): SweepSubject => ({
  name: "sweep-full",
  adapter: { ...FULL, initSeed: seed },
  learningRate,
  option: "full.learningRate",
  first: [1e-4, 3e-4, 1e-3],
});

/** Its top is where LoRA's B, trained alone, still ends better than it began on models of 0.6 to 135 million parameters. */
const LADDER = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2] as const;
/** Clients that take part, at most half of them: enough for a pooled loss, few enough to be short. */
const MOST_CLIENTS = 8;
/** Share of the training's passes that a trial takes. */
const SHARE = 1 / 2;

/** @param methods whose books the cost goes to */
export async function chooseLearningRate(
  ctx: TrainingParts,
  methods: readonly MethodName[],
  { name, adapter, learningRate, option, first: firstRates }: SweepSubject,
): Promise<SweepOutcome> {
  const { epochs } = ctx.plan.training;
  if (learningRate !== "auto") return { learningRate, trials: [] };
  const { names } = ctx.cohort;
  const rng = new SeededRng(ctx.plan.seed, "sweep");
  const count = Math.min(MOST_CLIENTS, Math.ceil(names.length / 2));
  const clients = rng.shuffle([...names]).slice(0, count);
  const stage = beginStage(ctx.events, adapter.kind === "full" ? "learning rate of all weights" : "learning rate", 0);
  const losses = new Map<number, number>();
  const bestRate = (): number => [...losses].reduce((a, b) => (b[1] < a[1] ? b : a))[0];
  const facts = (): EventInfo => {
    const loss = losses.size === 0 ? undefined : losses.get(bestRate());
    return loss !== undefined && Number.isFinite(loss) ? { best: bestRate(), loss } : {};
  };
  const attempt = async (rate: number): Promise<void> => {
    let told: unknown;
    const onProgress = (_share: number, { round }: EventInfo): void => {
      if (round === told) return;
      told = round;
      stage.advance({ trial: losses.size + 1, rate, ...(round === undefined ? {} : { round }), ...facts() });
    };
    const trained = await trainFederated(ctx, {
      name: `${name}-${rate}`,
      stage: "sweep",
      methods,
      book: "sweep",
      clients,
      adapter,
      learningRate: rate,
      epochs: epochs * SHARE,
      validateRounds: false,
      onProgress,
    });
    const [first] = ctx.cohort.faults;
    if (trained.values === undefined && !Number.isFinite(trained.startLoss) && first !== undefined) {
      throw new KindredError("quorum_not_met", `no client could train; the first fault: ${faultText(first)}`);
    }
    // What the training ends with: a rate that overshoots must not hide behind an early round.
    const last = trained.curve.at(-1)?.validationLoss;
    losses.set(rate, last ?? Number.POSITIVE_INFINITY);
  };
  for (const rate of firstRates) await attempt(rate);
  for (;;) {
    const best = bestRate();
    const at = (LADDER as readonly number[]).indexOf(best);
    const next = [LADDER[at - 1], LADDER[at + 1]].find((rate) => rate !== undefined && !losses.has(rate));
    if (next === undefined) {
      stage.end({ chosen: best, trials: losses.size, ...lossFact(losses.get(best)) });
      ctx.events.emit({ type: "learning-rate-chosen", subject: name, learningRate: best });
      const trials = [...losses].sort((a, b) => a[0] - b[0]);
      if (!Number.isFinite(losses.get(best))) {
        throw new KindredError("task_failed", `training diverged at every learning rate tried; set ${option}`);
      }
      return {
        learningRate: best,
        trials: trials.map(([rate, loss]) => ({
          learningRate: rate,
          validationLoss: Number.isFinite(loss) ? loss : null,
        })),
      };
    }
    await attempt(next);
  }
}
