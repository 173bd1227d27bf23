/**
 * What a method is: it trains something, and then a mixture of adapters answers for each client. The run trains the methods in their
 * order, lets each pay for what it uses, publishes Kindred's ensemble, and scores all methods alike.
 */
import type { MethodName } from "../../shared/config/enumerations.js";
import type { BlobRef, TunedSpec } from "../../shared/wire/types.js";
import type { SweepOutcome } from "../rounds/sweep.js";
import type { CurvePoint } from "../rounds/training-job.js";
import type { EstimateOutcome } from "./kindred/estimate.js";

export interface NamedCurve {
  readonly name: string;
  readonly unit: "round" | "step";
  readonly points: readonly CurvePoint[];
}

/** One adapter of a mixture. */
export interface MixturePart {
  readonly values: BlobRef;
  readonly weight: number;
}

/** What a method's training gives. */
export interface Trained {
  /** Specification of the adapters in its mixtures. */
  readonly adapter: TunedSpec;
  readonly curves: readonly NamedCurve[];
  /** What answers for a client. Empty: the base model. */
  mixture(client: string): readonly MixturePart[];
}

export interface SharedTrained extends Trained {
  /** Absent where no client gave an update. */
  readonly values: BlobRef | undefined;
}

export interface LocalTrained extends Trained {
  /** By client. Clients whose training failed are missing. */
  readonly values: ReadonlyMap<string, BlobRef>;
}

export interface FullTrained extends Trained {
  /** All weights bear smaller steps than adapters, so they have a sweep of their own. */
  readonly sweep: SweepOutcome;
}

/** One adapter of the ensemble. */
export interface EnsembleMember {
  readonly name: string;
  /** Index of its group. */
  readonly group: number;
  readonly kind: "group" | "boost";
  readonly values: BlobRef;
  /** Its factor in its own group before weights are fitted: 1, or a boosting step's length. */
  readonly step: number;
}

/** What one boosting step changed. */
export interface BoostingStep {
  /** Name of its member; of a member that was not added, where `step` is 0. */
  readonly name: string;
  /** Index of its group. */
  readonly group: number;
  /** Length of the step that was chosen; 0: none. */
  readonly step: number;
  /** Of the group's clients that validated: loss of the group's mixture without and with the step, validation rows, nats per token. */
  readonly clients: readonly { readonly client: string; readonly before: number; readonly after: number }[];
}

export interface KindredTrained extends Trained {
  readonly estimate: EstimateOutcome;
  /** A partition of the clients. */
  readonly groups: readonly (readonly string[])[];
  readonly members: readonly EnsembleMember[];
  /** In the order of the steps. */
  readonly boosting: readonly BoostingStep[];
  /** Client -> one weight per member. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
}

/** What each method gives. */
export interface TrainedBy {
  readonly base: Trained;
  readonly shared: SharedTrained;
  readonly local: LocalTrained;
  readonly full: FullTrained;
  readonly kindred: KindredTrained;
}

export interface TrainingOrder {
  /** The methods that pay for this training: the method itself where it is compared, and those that use it. */
  readonly payers: readonly MethodName[];
  /** Of adapters. */
  readonly learningRate: number;
  /** What the methods before this one gave. */
  readonly trained: Partial<TrainedBy>;
}

export interface Method<N extends MethodName = MethodName> {
  readonly name: N;
  /** Whether its adapters are trained at the learning rate that the sweep on the shared adapter finds. */
  readonly sweeps: boolean;
  /** Methods whose adapters it uses. They are trained before it, whether they are compared or not. */
  readonly uses: readonly MethodName[];
  train(order: TrainingOrder): Promise<TrainedBy[N]>;
}

export type Methods = { readonly [N in MethodName]: Method<N> };
