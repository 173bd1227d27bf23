/**
 * What a client's work for a task kind is and has at hand: the compiled graphs, the client's rows as tokens, and adapters by the
 * blobs that a task names. The rows themselves stay with the callers of this folder.
 */
import { parseSafetensors } from "../../shared/adapters/safetensors.js";
import { KindredError } from "../../shared/base/errors.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { AdapterSpec, BlobRef, TunedSpec } from "../../shared/wire/types.js";
import type { AnyResult, AnyTask, ResultFields, WithTensors } from "../../tasks/kind.js";
import type { ReleasedTensors } from "../../tasks/release.js";
import type { EncodedDataset, EncodedRow, Split } from "../data/types.js";
import type { TaskIo } from "../session/session.js";
import { type AdapterLayout, type AdapterValues, adapterFromTensors, initialAdapter } from "../tuning/adapter.js";
import { type CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import type { RowScore } from "../tuning/scoring.js";
import { layoutOf, sampledRows } from "./sketch.js";

/** What a client is given at the end: its members and their weights. */
export interface ReceivedEnsemble {
  readonly adapter: AdapterSpec;
  readonly members: readonly { readonly name: string; readonly weight: number; readonly tensors: NamedTensors }[];
}

/** Test rows under the mixtures of one task, row by row. */
export interface TestRows {
  /** Scored tokens of each row. */
  readonly tokens: readonly number[];
  /** [mixtures][rows], in the order of the task's mixtures and of the split's rows. */
  readonly mixtures: readonly (readonly RowScore[])[];
}

export interface ClientWorkOptions {
  readonly compiledGraphs: CompiledGraphs;
  /** The client's rows as tokens; called once, when the first task needs them. */
  readonly dataset: () => EncodedDataset;
  /** Keeps the ensemble that the coordinator returns; it is dropped unless given. */
  readonly onEnsemble?: (ensemble: ReceivedEnsemble) => Promise<void>;
  /** Tasks may train all weights: in a simulation, whose rows are nobody's. @default false */
  readonly full?: boolean;
  /** Keeps the losses of single test rows: in a simulation, whose rows are nobody's. They are dropped unless given. */
  readonly onTestRows?: (adapter: TunedSpec, rows: TestRows) => Promise<void>;
}

const sourceOf = ({ sha256 }: BlobRef): string => `adapter ${sha256.slice(0, 12)}`;

/** Does a task of one kind. Every kind's work.ts exports one as `work`. */
export type Work<T extends AnyTask = AnyTask, R extends AnyResult = AnyResult> = (
  task: T,
  tools: WorkTools,
) => Promise<WithTensors<ResultFields<R>, ReleasedTensors>>;

/** What one task may use while it runs. */
export class WorkTools {
  readonly meter: Meter;

  constructor(
    private readonly options: ClientWorkOptions,
    /** The client's rows as tokens. */
    readonly dataset: () => EncodedDataset,
    readonly io: TaskIo,
  ) {
    this.meter = new Meter(io.signal);
  }

  get compiledGraphs(): CompiledGraphs {
    return this.options.compiledGraphs;
  }

  get onEnsemble(): ClientWorkOptions["onEnsemble"] {
    return this.options.onEnsemble;
  }

  get onTestRows(): ClientWorkOptions["onTestRows"] {
    return this.options.onTestRows;
  }

  /** @param limit at most so many rows, drawn; 0: all */
  rows(split: Split, limit = 0): readonly EncodedRow[] {
    return sampledRows(this.dataset(), split, limit, 0);
  }

  /** @throws {KindredError} `unsupported` for all weights, outside of simulations */
  layout(spec: TunedSpec): AdapterLayout {
    if (spec.kind === "full" && !this.options.full) {
      // The embedding changes in the rows of a client's own tokens alone: they would tell its words.
      throw new KindredError(
        "unsupported",
        "this client trains adapters; all weights are trained in simulations alone",
      );
    }
    return layoutOf(this.compiledGraphs, spec);
  }

  /** The values of a blob; fresh initial values without one. */
  async adapter(layout: AdapterLayout, spec: TunedSpec, ref: BlobRef | undefined): Promise<AdapterValues> {
    const fresh = initialAdapter(layout, spec.initSeed);
    if (ref === undefined) return fresh;
    return adapterFromTensors(layout, await this.tensors(ref), sourceOf(ref), fresh);
  }

  /** The tensors that a blob holds. */
  async tensors(ref: BlobRef): Promise<NamedTensors> {
    return parseSafetensors(await this.io.download(ref), { source: sourceOf(ref) }).tensors;
  }

  async adapters(layout: AdapterLayout, spec: TunedSpec, refs: readonly BlobRef[]): Promise<AdapterValues[]> {
    const values: AdapterValues[] = [];
    for (const ref of refs) values.push(await this.adapter(layout, spec, ref));
    return values;
  }
}
