/**
 * Logits of several adapters over one base in one pass, and mixtures of them: z = z_0 + sum of w_j (z_j - z_0), z_0 the base
 * model's. Logits stay with the runtime; what comes back is a number a scored token.
 */
import { type Graph, GraphBuilder } from "../../shared/graph/graph.js";
import { stackGraph } from "../../shared/graph/stack.js";
import type { Feed, HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import { forwardGraph } from "./graphs.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "./lora.js";
import { negativeLogLikelihood } from "./objective.js";
import type { Meter, Program, Programs } from "./programs.js";

export interface Member {
  readonly values: AdapterValues;
  readonly weight: number;
}

type Feeds = Readonly<Record<string, Feed>>;

/** The inputs that hold adapters' values, stacked: [M, size] each, absent where empty. */
export const ADAPTER_INPUTS = ["frozen", "trained"] as const;

/** Adapters' values with the runtime, for graphs stacked along `ADAPTER_INPUTS`; the caller frees them. */
export async function uploadAdapters(
  { runtime }: Programs,
  layout: AdapterLayout,
  adapters: readonly AdapterValues[],
): Promise<Record<string, ResidentTensor>> {
  const sizes = { frozen: layout.frozenSize, trained: layout.trainedSize };
  const uploaded: Record<string, ResidentTensor> = {};
  for (const part of ADAPTER_INPUTS) {
    const size = sizes[part];
    if (size === 0) continue;
    const data = new Float32Array(adapters.length * size);
    for (const [j, values] of adapters.entries()) data.set(values[part], j * size);
    uploaded[part] = await runtime.upload({ shape: [adapters.length, size], data });
  }
  return uploaded;
}

/** One pass for several adapters, their values uploaded once. The base model is the adapter whose values are zero. */
export class Forward {
  private constructor(
    private readonly programs: Programs,
    private readonly program: Program,
    private readonly meter: Meter,
    private readonly adapters: Readonly<Record<string, ResidentTensor>>,
  ) {}

  static async open(
    programs: Programs,
    layout: AdapterLayout,
    adapters: readonly AdapterValues[],
    meter: Meter,
  ): Promise<Forward> {
    const program = await programs.get("forward", layout, () =>
      stackGraph(forwardGraph(programs.model, layout), ADAPTER_INPUTS, "M"),
    );
    return new Forward(programs, program, meter, await uploadAdapters(programs, layout, adapters));
  }

  /** Logits [M, S, V] of each adapter, with the runtime: the caller frees them. */
  async logits(feeds: Feeds): Promise<ResidentTensor> {
    const { resident } = await this.run(feeds, { fetch: [], keep: ["logits"] });
    return resident.logits!;
  }

  /** Negative log-likelihood of the targets under each adapter: M times [S]. */
  async nll(feeds: Feeds): Promise<Float32Array[]> {
    const { shape, data } = (await this.run(feeds, { fetch: ["nll"] })).tensors.nll!;
    const [members, asks] = shape as [number, number, number];
    return Array.from({ length: members }, (_, j) => (data as Float32Array).subarray(j * asks, (j + 1) * asks));
  }

  private run(feeds: Feeds, options: { fetch: string[]; keep?: string[] }) {
    return this.meter.run(this.program, { ...feeds, ...this.adapters }, options);
  }

  close(): void {
    this.programs.free(...Object.values(this.adapters));
  }
}

/** `mixed` [S, V]: the sum of `logits` [M, S, V], each times its `factors` [1, M]; and `nll` [S, 1] of it. */
function mixGraph(): Graph {
  const g = new GraphBuilder();
  const logits = g.input("logits", ["M", "S", "V"]);
  const mixed = g.reshape(g.matmul(g.input("factors", [1, "M"]), g.reshape(logits, ["M", "S*V"])), ["S", "V"]);
  return g.build({ mixed, nll: negativeLogLikelihood(g, mixed, g.input("targets", ["S", 1], "int32")) });
}

/** What the base's logits, and then each member's, are multiplied with: base + sum of w (member - base). */
export function mixFactors(weights: readonly number[]): number[] {
  return [1 - weights.reduce((sum, w) => sum + w, 0), ...weights];
}

/** Sums of adapters' logits. */
export class Mixer {
  private constructor(
    private readonly program: Program,
    private readonly meter: Meter,
  ) {}

  static async open(programs: Programs, meter: Meter): Promise<Mixer> {
    return new Mixer(await programs.get("mix", undefined, mixGraph), meter);
  }

  /** -log p of the targets under a sum of logits [M, S, V], [S]. @param factors one an adapter */
  async nll(logits: ResidentTensor, factors: readonly number[], targets: HostTensor): Promise<Float32Array> {
    const { tensors } = await this.run(logits, factors, targets, { fetch: ["nll"] });
    return tensors.nll!.data as Float32Array;
  }

  /** The sum [S, V], with the runtime: the caller frees it. */
  async mixed(logits: ResidentTensor, factors: readonly number[], targets: HostTensor): Promise<ResidentTensor> {
    const { resident } = await this.run(logits, factors, targets, { fetch: [], keep: ["mixed"] });
    return resident.mixed!;
  }

  private run(
    logits: ResidentTensor,
    factors: readonly number[],
    targets: HostTensor,
    options: { fetch: string[]; keep?: string[] },
  ) {
    const feed = { shape: [1, factors.length], data: Float32Array.from(factors) };
    return this.meter.run(this.program, { logits, factors: feed, targets }, options);
  }
}

/** What a fixed mixture adds to the base's logits. */
export class MixedLogits {
  private constructor(
    private readonly programs: Programs,
    private readonly forward: Forward,
    private readonly mixer: Mixer,
    private readonly factors: readonly number[],
  ) {}

  /** @param members at least one with a weight other than 0; the others are left out */
  static async open(
    programs: Programs,
    layout: AdapterLayout,
    members: readonly Member[],
    meter: Meter,
  ): Promise<MixedLogits> {
    const used = members.filter(({ weight }) => weight !== 0);
    const adapters = [emptyAdapter(layout), ...used.map(({ values }) => values)];
    const forward = await Forward.open(programs, layout, adapters, meter);
    const [base = 1, ...rest] = mixFactors(used.map(({ weight }) => weight));
    return new MixedLogits(programs, forward, await Mixer.open(programs, meter), [base - 1, ...rest]);
  }

  /** sum of w_j (z_j - z_0), [S, V], with the runtime: the caller frees it. */
  async offset(feeds: Feeds): Promise<ResidentTensor> {
    const logits = await this.forward.logits(feeds);
    const mixed = await this.mixer.mixed(logits, this.factors, feeds.targets as HostTensor);
    this.programs.free(logits);
    return mixed;
  }

  close(): void {
    this.forward.close();
  }
}
