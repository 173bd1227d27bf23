/**
 * Continues prompts token by token, under an adapter, a mixture of adapters or the base model. Each token is run once: its keys and
 * values, of every adapter, stay with the runtime. Prompts of different lengths share a batch: padding lies between a short prompt
 * and its answer, as a separate text to which no other token attends.
 */
import { SeededRng } from "../../shared/base/random.js";
import { stackGraph } from "../../shared/graph/stack.js";
import type { Feed, ResidentTensor } from "../../shared/runtimes/types.js";
import type { Sequence } from "../models/positions.js";
import type { Adapters } from "./adapter.js";
import { sequenceFeeds } from "./batches.js";
import type { CompiledGraph, CompiledGraphs, Meter } from "./compiled-graphs.js";
import { notFinite } from "./finite.js";
import { cacheNames, continueGraph } from "./graphs.js";
import { ADAPTER_INPUTS, mixFactors, mixLogits, neededAdapters, uploadAdapters } from "./mixing.js";
import { type SamplingPlan, sampleToken } from "./sampling.js";

export interface GenerationPlan extends SamplingPlan {
  /** Longest continuation, in tokens. Prompt and continuation must fit the model's context. */
  readonly maxNewTokens: number;
  /** Tokens that end a continuation. They are not part of the continuation. */
  readonly ends: ReadonlySet<number>;
  /** Draws the tokens, for each prompt independently of the others. */
  readonly seed: number;
}

export interface Continuation {
  readonly tokens: Int32Array;
  /** True where the model ended the continuation, false where `maxNewTokens` did. */
  readonly ended: boolean;
}

/** Keys and values of a batch, in numbers: 256 MiB, held twice while a token is added. */
const MAX_CACHED_NUMBERS = 2 ** 26;
/** Tokens of a batch times adapters, as in scoring. */
const MAX_TOKENS = 2048;

interface Row {
  readonly index: number;
  readonly prompt: Int32Array;
  readonly made: number[];
  readonly rng: SeededRng;
  ended: boolean;
}

/** A mixture of adapters: base + sum of w (member - base). */
export interface Mixture extends Adapters {
  /** One per member; no weight means the base model alone. */
  readonly weights: readonly number[];
}

export interface GenerationHooks {
  readonly meter: Meter;
  /** Called when continuations are finished, with their number. */
  readonly onRows?: (rows: number) => void;
  /** Names a prompt, for the error where its logits are not finite. */
  readonly nameOf?: (prompt: number) => string;
}

/**
 * Continues prompts.
 * @param prompts not empty; each with its new tokens at most as long as the model's context
 * @returns one continuation per prompt, which does not depend on the other prompts
 * @throws {KindredError} `task_failed` where logits are not finite
 */
export async function generate(
  compiledGraphs: CompiledGraphs,
  { layout, members, weights }: Mixture,
  prompts: readonly Int32Array[],
  plan: GenerationPlan,
  hooks: GenerationHooks,
): Promise<Continuation[]> {
  const { adapters, sums } = neededAdapters(layout, members, [mixFactors(weights)]);
  const { model } = compiledGraphs;
  const program = await compiledGraphs.get("continue", layout, () => {
    const names = cacheNames(model.architecture);
    return stackGraph(continueGraph(model, layout), [...ADAPTER_INPUTS, ...names], "M");
  });
  const rows = prompts.map((prompt, index): Row => {
    const rng = new SeededRng(plan.seed, "continuation", index);
    return { index, prompt, made: [], rng, ended: false };
  });
  const uploaded = await uploadAdapters(compiledGraphs, layout, adapters);
  const decoder = new Decoder(compiledGraphs, program, hooks, uploaded, sums[0] as number[]);
  try {
    for (const batch of batches(rows, plan.maxNewTokens, adapters.length, decoder.keptPerToken)) {
      await decoder.continueAll(batch, plan);
      hooks.onRows?.(batch.length);
    }
  } finally {
    compiledGraphs.free(...Object.values(uploaded));
  }
  return rows.map(({ made, ended }) => ({ tokens: Int32Array.from(made), ended }));
}

/** Batches of prompts of similar length, as many as the bounds allow. */
function batches(rows: readonly Row[], more: number, adapters: number, keptPerToken: number): Row[][] {
  const sorted = [...rows].sort((a, b) => a.prompt.length - b.prompt.length || a.index - b.index);
  const out: Row[][] = [];
  for (const row of sorted) {
    const batch = out.at(-1);
    const copies = adapters * ((batch?.length ?? 0) + 1);
    const { length } = row.prompt;
    const fits = copies * length <= MAX_TOKENS && copies * (length + more) * keptPerToken <= MAX_CACHED_NUMBERS;
    if (batch !== undefined && fits) batch.push(row);
    else out.push([row]);
  }
  return out;
}

class Decoder {
  private readonly names: readonly string[];

  constructor(
    private readonly compiledGraphs: CompiledGraphs,
    private readonly program: CompiledGraph,
    private readonly hooks: GenerationHooks,
    private readonly adapters: Readonly<Record<string, ResidentTensor>>,
    private readonly factors: readonly number[],
  ) {
    this.names = cacheNames(compiledGraphs.model.architecture);
  }

  /** Shape of keys or values before the first token: [M, B, heads, 0, width]. */
  private emptyShape(name: string, batch: number): number[] {
    const [, , heads, , width] = this.program.executable.graph.inputs[name]!.shape;
    return [this.factors.length, batch, heads as number, 0, width as number];
  }

  /** Numbers of one token's keys and values under one adapter. */
  get keptPerToken(): number {
    return this.names.reduce((sum, name) => {
      const [, , heads, , width] = this.emptyShape(name, 1);
      return sum + (heads as number) * (width as number);
    }, 0);
  }

  /** Adds tokens to all rows until each row has ended or has as many tokens as the plan allows. */
  async continueAll(rows: readonly Row[], plan: GenerationPlan): Promise<void> {
    const { model } = this.compiledGraphs;
    const longest = Math.max(...rows.map(({ prompt }) => prompt.length));
    const padding = rows.map(({ prompt }) => new Int32Array(longest - prompt.length));
    let kept: Record<string, Feed> = Object.fromEntries(
      this.names.map((name) => [name, { shape: this.emptyShape(name, rows.length), data: new Float32Array(0) }]),
    );
    let cached = 0;
    try {
      for (let count = 0; count < plan.maxNewTokens && rows.some(({ ended }) => !ended); count++) {
        const sequences = rows.map(({ prompt, made }, i): Sequence => {
          const answer = Int32Array.from({ length: count }, (_, t) => made[t] ?? 0);
          return [
            { tokens: prompt, after: -1 },
            { tokens: padding[i] as Int32Array, after: -1 },
            { tokens: answer, after: 0 },
          ];
        });
        const run = longest + count - cached;
        const last = rows.map(({ prompt }, i) => i * run + (count === 0 ? prompt.length : run) - 1);
        const positions = { shape: [rows.length], data: Int32Array.from(last) };
        const feeds = { ...sequenceFeeds(sequences, model.architecture, cached), positions, ...this.adapters, ...kept };
        const keep = ["logits", ...this.names];
        const { logits, ...next } = (await this.hooks.meter.run(this.program, feeds, { fetch: [], keep })).resident;
        this.free(kept);
        kept = next;
        cached = longest + count;
        await this.choose(rows, logits as ResidentTensor, plan);
      }
    } finally {
      this.free(kept);
    }
  }

  private free(kept: Readonly<Record<string, Feed>>): void {
    this.compiledGraphs.free(...Object.values(kept).filter((feed): feed is ResidentTensor => "id" in feed));
  }

  /** Gives every row that goes on its next token. @param logits [M, rows, V], freed here */
  private async choose(rows: readonly Row[], logits: ResidentTensor, plan: GenerationPlan): Promise<void> {
    const mixed = await mixLogits(this.compiledGraphs, this.hooks.meter, logits, this.factors);
    const { data, shape } = await this.compiledGraphs.runtime.download(mixed);
    this.compiledGraphs.free(logits, mixed);
    const width = shape[1] as number;
    for (const [i, row] of rows.entries()) {
      if (row.ended) continue;
      const own = data.subarray(i * width, (i + 1) * width) as Float32Array;
      const wrong = own.find((logit) => !Number.isFinite(logit));
      if (wrong !== undefined) throw notFinite(wrong, this.hooks.nameOf?.(row.index));
      const token = sampleToken(own, plan, row.rng);
      if (plan.ends.has(token)) row.ended = true;
      else row.made.push(token);
    }
  }
}
