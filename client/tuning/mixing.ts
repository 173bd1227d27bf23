/**
 * Logits of several adapters over one base in one pass, and mixtures of them: z = z_0 + sum of w_j (z_j - z_0), z_0 the base
 * model's. Logits stay with the runtime; one number per scored token comes back.
 */
import { type Graph, GraphBuilder, type Value } from "../../shared/graph/graph.js";
import { stackGraph } from "../../shared/graph/stack.js";
import type { Feed, HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import type { BaseModel } from "../models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "./adapter.js";
import type { CompiledGraph, CompiledGraphs, Meter } from "./compiled-graphs.js";
import { forwardGraph } from "./graphs.js";
import { negativeLogLikelihood } from "./objective.js";

export interface Member {
  readonly values: AdapterValues;
  readonly weight: number;
}

type Feeds = Readonly<Record<string, Feed>>;

/** The inputs with the stacked values of adapters: [M, size] each, absent where empty. */
export const ADAPTER_INPUTS = ["frozen", "trained"] as const;

/** Uploads adapters' values for graphs that are stacked along `ADAPTER_INPUTS`. The caller frees them. */
export async function uploadAdapters(
  { runtime }: CompiledGraphs,
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

/** `forwardGraph` of M adapters. */
export const membersGraph = (model: BaseModel, layout: AdapterLayout): Graph =>
  stackGraph(forwardGraph(model, layout), ADAPTER_INPUTS, "M");

/** Forward passes of several adapters at once; their values are uploaded once. The base model is the adapter of zeros. */
export class Forward {
  private constructor(
    private readonly compiledGraphs: CompiledGraphs,
    private readonly program: CompiledGraph,
    private readonly meter: Meter,
    private readonly adapters: Readonly<Record<string, ResidentTensor>>,
  ) {}

  static async open(
    compiledGraphs: CompiledGraphs,
    layout: AdapterLayout,
    adapters: readonly AdapterValues[],
    meter: Meter,
  ): Promise<Forward> {
    const program = await compiledGraphs.get("forward", layout, () => membersGraph(compiledGraphs.model, layout));
    return new Forward(compiledGraphs, program, meter, await uploadAdapters(compiledGraphs, layout, adapters));
  }

  /** Logits [M, S, V] of each adapter. They stay with the runtime; the caller frees them. */
  async logits(feeds: Feeds): Promise<ResidentTensor> {
    const { resident } = await this.run(feeds, { fetch: [], keep: ["logits"] });
    return resident.logits!;
  }

  /** Negative log-likelihood of the targets under each adapter, nats: M arrays of [S]. */
  async nll(feeds: Feeds): Promise<Float32Array[]> {
    const { shape, data } = (await this.run(feeds, { fetch: ["nll"] })).tensors.nll!;
    const [members, asks] = shape as [number, number, number];
    return Array.from({ length: members }, (_, j) => (data as Float32Array).subarray(j * asks, (j + 1) * asks));
  }

  private run(feeds: Feeds, options: { fetch: string[]; keep?: string[] }) {
    return this.meter.run(this.program, { ...feeds, ...this.adapters }, options);
  }

  close(): void {
    this.compiledGraphs.free(...Object.values(this.adapters));
  }
}

/** Factors of the base's logits and of each member's in base + sum of w (member - base). */
export function mixFactors(weights: readonly number[]): number[] {
  return [1 - weights.reduce((sum, w) => sum + w, 0), ...weights];
}

/**
 * The adapters with a factor other than 0 in some sum of logits, and the sums' factors for these adapters.
 * @param sums factors of the base and of each member; missing factors are 0
 */
export function neededAdapters(
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  sums: readonly (readonly number[])[],
): { adapters: AdapterValues[]; sums: number[][] } {
  const all = [emptyAdapter(layout), ...members];
  const needed = all.flatMap((_, at) => (sums.some((factors) => factors[at]) ? [at] : []));
  return {
    adapters: needed.map((at) => all[at] as AdapterValues),
    sums: sums.map((factors) => needed.map((at) => factors[at] ?? 0)),
  };
}

/** [S, V]: the sum of `logits` [M, S, V], each times its `factors` [1, M]. */
function mixInGraph(g: GraphBuilder): Value {
  const logits = g.reshape(g.input("logits", ["M", "S", "V"]), ["M", "S*V"]);
  return g.reshape(g.matmul(g.input("factors", [1, "M"]), logits), ["S", "V"]);
}

function mixGraph(): Graph {
  const g = new GraphBuilder();
  return g.build({ mixed: mixInGraph(g) });
}

function mixedNllGraph(): Graph {
  const g = new GraphBuilder();
  return g.build({ nll: negativeLogLikelihood(g, mixInGraph(g), g.input("targets", ["S", 1], "int32")) });
}

const factorFeed = (factors: readonly number[]): HostTensor => ({
  shape: [1, factors.length],
  data: Float32Array.from(factors),
});

/** The sum of logits [M, S, V], each times its factor: [S, V]. It stays with the runtime; the caller frees it. */
export async function mixLogits(
  compiledGraphs: CompiledGraphs,
  meter: Meter,
  logits: ResidentTensor,
  factors: readonly number[],
): Promise<ResidentTensor> {
  const program = await compiledGraphs.get("mix", undefined, mixGraph);
  const options = { fetch: [], keep: ["mixed"] };
  return (await meter.run(program, { logits, factors: factorFeed(factors) }, options)).resident.mixed!;
}

/** -log p of the targets under such a sum: [S], nats. */
export async function mixedNll(
  compiledGraphs: CompiledGraphs,
  meter: Meter,
  logits: ResidentTensor,
  factors: readonly number[],
  targets: HostTensor,
): Promise<Float32Array> {
  const program = await compiledGraphs.get("mixed-nll", undefined, mixedNllGraph);
  return (await meter.run(program, { logits, factors: factorFeed(factors), targets })).tensors.nll!
    .data as Float32Array;
}

/** The difference of a fixed mixture's logits to the base model's. */
export class MixedLogits {
  private constructor(
    private readonly compiledGraphs: CompiledGraphs,
    private readonly forward: Forward,
    private readonly factors: readonly number[],
    private readonly meter: Meter,
  ) {}

  /** @param members at least one with a weight other than 0 */
  static async open(
    compiledGraphs: CompiledGraphs,
    layout: AdapterLayout,
    members: readonly Member[],
    meter: Meter,
  ): Promise<MixedLogits> {
    const [base = 1, ...weights] = mixFactors(members.map(({ weight }) => weight));
    const values = members.map((member) => member.values);
    const { adapters, sums } = neededAdapters(layout, values, [[base - 1, ...weights]]);
    const forward = await Forward.open(compiledGraphs, layout, adapters, meter);
    return new MixedLogits(compiledGraphs, forward, sums[0] as number[], meter);
  }

  /** sum of w_j (z_j - z_0): [S, V]. It stays with the runtime; the caller frees it. */
  async offset(feeds: Feeds): Promise<ResidentTensor> {
    const logits = await this.forward.logits(feeds);
    const mixed = await mixLogits(this.compiledGraphs, this.meter, logits, this.factors);
    this.compiledGraphs.free(logits);
    return mixed;
  }

  close(): void {
    this.forward.close();
  }
}
