/**
 * The measurements of a study of estimation errors, and their agreement with the truth. It knows nothing of the measuring and of pages.
 */
import type { MARGINS } from "../../../shared/sketch/types.js";
import type { StudySetup } from "../harness/setup.js";
import { mean } from "../harness/statistics.js";
import type { TestbedScore, Tuning } from "../harness/testbed.js";
import { type Agreement, agreementOf } from "./agreement.js";

export type Form = (typeof MARGINS)[number];

/** Real validation losses that calibrate the estimate: none, or those of own adapters and of the common one. */
export const CALIBRATIONS = ["none", "own + common"] as const;

export type Calibration = (typeof CALIBRATIONS)[number];

export interface ErrorCase extends StudySetup {
  readonly about: string;
  readonly tuning: Omit<Tuning, "seed">;
  readonly subsets: number;
  readonly size: number;
  /** Widths of a sketch, each half of the next: narrow sketches are folded from the widest. */
  readonly widths: readonly number[];
  /** The width for the comparison of forms of margins and calibrations. */
  readonly width: number;
  /** Number of subsets tuned a second time, with rows in another order: their real losses are means of two. */
  readonly repeated: number;
}

/** Losses of a subset's members, in its order. */
export interface Truth {
  readonly flops: number;
  readonly seconds: number;
  readonly validation: readonly TestbedScore[];
  readonly test: readonly TestbedScore[];
}

/** Estimated losses: of all subsets, and of each dataset alone. */
export interface SubsetEstimates {
  readonly form: Form;
  readonly width: number;
  readonly calibration: Calibration;
  readonly losses: readonly (readonly number[])[];
  readonly alone: readonly number[];
  readonly lambdas: readonly number[];
  readonly flops: { readonly sketching: number; readonly solving: number };
  readonly seconds: number;
}

export type Split = "validation" | "test";

export type Row = Omit<SubsetEstimates, "losses" | "alone" | "lambdas"> & {
  readonly agreement: Readonly<Record<Split, Agreement>>;
};

export interface SeedResult {
  readonly seed: number;
  readonly names: readonly string[];
  readonly subsets: readonly (readonly number[])[];
  readonly truth: readonly Truth[];
  readonly alone: readonly Truth[];
  readonly common: Truth;
  readonly again: readonly Truth[];
  readonly estimates: readonly SubsetEstimates[];
}

const lossesOf = (truth: Truth, split: Split): number[] => truth[split].map(({ loss }) => loss);

/** Real losses of subset k's members: the mean of its tunings. */
export function realOf({ truth, again }: Pick<SeedResult, "truth" | "again">, k: number, split: Split): number[] {
  const tunings = [truth[k]!, again[k]].filter((one) => one !== undefined).map((one) => lossesOf(one, split));
  return tunings[0]!.map((_, at) => mean(tunings.map((losses) => losses[at]!)));
}

export function rowsOf({ names, subsets, truth, again, alone, estimates }: SeedResult): Row[] {
  return estimates.map(({ losses, alone: estimatedAlone, lambdas: _, ...of }) => {
    const against = (split: Split): Agreement =>
      agreementOf({
        datasets: names.length,
        subsets,
        truth: subsets.map((_, k) => realOf({ truth, again }, k, split)),
        estimate: losses,
        alone: { truth: alone.map((one) => lossesOf(one, split)[0]!), estimate: estimatedAlone },
      });
    return { ...of, agreement: { validation: against("validation"), test: against("test") } };
  });
}

/** Bounds of any estimate: the agreement of the two tunings of a subset, and for test rows that of losses on other rows of the same sets. */
export function boundsOf({ names, subsets, truth, alone, again }: SeedResult, split: Split): Record<string, Agreement> {
  const own = (from: Split) => alone.map((one) => lossesOf(one, from)[0]!);
  const against = (real: readonly (readonly number[])[], estimate: readonly (readonly number[])[], from: Split) =>
    agreementOf({
      datasets: names.length,
      subsets: subsets.slice(0, real.length),
      truth: real,
      estimate,
      alone: { truth: own(split), estimate: own(from) },
    });
  const [first, second] = [truth.slice(0, again.length), again].map((of) => of.map((one) => lossesOf(one, split)));
  const all = (from: Split) => subsets.map((_, k) => realOf({ truth, again }, k, from));
  return {
    "a second tuning": against(first!, second!, split),
    ...(split === "test" ? { "real, on validation rows": against(all("test"), all("validation"), "validation") } : {}),
  };
}
