/**
 * Logits of several adapters over one base, mixed: z = z_0 + sum of w_j (z_j - z_0), z_0 the base model's. Logits stay with the
 * runtime; what comes back is a number a scored token.
 */
import type { Graph } from "../../shared/graph/graph.js";
import { GraphBuilder } from "../../shared/graph/graph.js";
import type { Feed, HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import { forwardGraph } from "./graphs.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "./lora.js";
import { negativeLogLikelihood } from "./objective.js";
import type { Meter, Program, Programs } from "./programs.js";

export interface Member {
  readonly values: AdapterValues;
  readonly weight: number;
}

/** `mixed` = `sofar` (where there is one) + `weight` x (`member` - `base`), all [S, V]. */
function mixGraph(withSum: boolean): Graph {
  const g = new GraphBuilder();
  const [member, base] = [g.input("member", ["S", "V"]), g.input("base", ["S", "V"])];
  const change = g.mul(g.input("weight", [1]), g.sub(member, base));
  return g.build({ mixed: withSum ? g.add(g.input("sofar", ["S", "V"]), change) : change });
}

/** `nll` [S, 1] of given logits [S, V]. */
function nllGraph(): Graph {
  const g = new GraphBuilder();
  const logits = g.input("logits", ["S", "V"]);
  return g.build({ nll: negativeLogLikelihood(g, logits, g.input("targets", ["S", 1], "int32")) });
}

interface Uploaded {
  readonly frozen: ResidentTensor | undefined;
  readonly trained: ResidentTensor;
}

/** The forward pass of some adapters, their values uploaded once. The base model is the adapter whose values are zero. */
export class Forward {
  private constructor(
    private readonly programs: Programs,
    private readonly program: Program,
    private readonly meter: Meter,
    private readonly adapters: readonly Uploaded[],
  ) {}

  static async open(
    programs: Programs,
    layout: AdapterLayout,
    adapters: readonly AdapterValues[],
    meter: Meter,
  ): Promise<Forward> {
    const program = await programs.get("forward", layout, () => forwardGraph(programs.model, layout));
    const { runtime } = programs;
    const uploaded: Uploaded[] = [];
    for (const values of [emptyAdapter(layout), ...adapters]) {
      uploaded.push({
        frozen:
          layout.frozenSize > 0 ? await runtime.upload({ shape: [layout.frozenSize], data: values.frozen }) : undefined,
        trained: await runtime.upload({ shape: [layout.trainedSize], data: values.trained }),
      });
    }
    return new Forward(programs, program, meter, uploaded);
  }

  /** Logits [S, V] of adapter `index`, or of the base where it is -1. */
  async logits(index: number, feeds: Readonly<Record<string, Feed>>): Promise<ResidentTensor> {
    const { resident } = await this.run(index, feeds, { fetch: [], keep: ["logits"] });
    return resident.logits!;
  }

  /** Negative log-likelihood of the targets, [S]. */
  async nll(index: number, feeds: Readonly<Record<string, Feed>>): Promise<Float32Array> {
    const { tensors } = await this.run(index, feeds, { fetch: ["nll"] });
    return tensors.nll!.data as Float32Array;
  }

  private run(index: number, feeds: Readonly<Record<string, Feed>>, options: { fetch: string[]; keep?: string[] }) {
    const { frozen, trained } = this.adapters[index + 1] as Uploaded;
    return this.meter.run(this.program, { ...feeds, trained, ...(frozen ? { frozen } : {}) }, options);
  }

  close(): void {
    for (const { frozen, trained } of this.adapters) this.programs.free(frozen, trained);
  }
}

/** A fixed mixture's logits, and what it adds to the base's. */
export class MixedLogits {
  private constructor(
    private readonly programs: Programs,
    private readonly forward: Forward,
    private readonly weights: readonly number[],
    private readonly meter: Meter,
  ) {}

  static async open(
    programs: Programs,
    layout: AdapterLayout,
    members: readonly Member[],
    meter: Meter,
  ): Promise<MixedLogits> {
    const values = members.map((member) => member.values);
    const forward = await Forward.open(programs, layout, values, meter);
    return new MixedLogits(
      programs,
      forward,
      members.map((member) => member.weight),
      meter,
    );
  }

  /** sum of w_j (z_j - z_0), [S, V], with the runtime: the caller frees it. Absent where all weights are 0. */
  async offset(feeds: Readonly<Record<string, Feed>>): Promise<ResidentTensor | undefined> {
    const base = await this.forward.logits(-1, feeds);
    const members: ResidentTensor[] = [];
    for (let j = 0; j < this.weights.length; j++) members.push(await this.forward.logits(j, feeds));
    const mixed = await addMembers(this.programs, this.meter, base, members, this.weights);
    this.programs.free(base, ...members);
    return mixed;
  }

  close(): void {
    this.forward.close();
  }
}

/**
 * The mixture's logits `base + sum of w_j (member_j - base)`, with the runtime; the caller frees them. It is `base` itself
 * where all weights are 0.
 */
export async function mix(
  programs: Programs,
  meter: Meter,
  base: ResidentTensor,
  members: readonly ResidentTensor[],
  weights: readonly number[],
): Promise<ResidentTensor> {
  return (await addMembers(programs, meter, base, members, weights, base)) ?? base;
}

/** `sofar` (nothing where absent) + sum of w_j (member_j - base); intermediate sums are freed, `sofar` is not. */
async function addMembers(
  programs: Programs,
  meter: Meter,
  base: ResidentTensor,
  members: readonly ResidentTensor[],
  weights: readonly number[],
  sofar?: ResidentTensor,
): Promise<ResidentTensor | undefined> {
  let sum = sofar;
  for (let j = 0; j < members.length; j++) {
    const weight = weights[j] ?? 0;
    if (weight === 0) continue;
    const program = await programs.get(sum ? "mix" : "difference", undefined, () => mixGraph(sum !== undefined));
    const { resident } = await meter.run(
      program,
      {
        member: members[j] as ResidentTensor,
        base,
        weight: { shape: [1], data: Float32Array.of(weight) },
        ...(sum ? { sofar: sum } : {}),
      },
      { fetch: [], keep: ["mixed"] },
    );
    if (sum !== sofar) programs.free(sum);
    sum = resident.mixed!;
  }
  return sum;
}

/** -log p of the targets under given logits, [S]. */
export async function nllOf(
  programs: Programs,
  meter: Meter,
  logits: ResidentTensor,
  targets: HostTensor,
): Promise<Float32Array> {
  const program = await programs.get("nll", undefined, nllGraph);
  const { tensors } = await meter.run(program, { logits, targets });
  return tensors.nll!.data as Float32Array;
}
