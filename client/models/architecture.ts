/**
 * What a family of models tells the rest of the client: its sizes, weights and linears, the tables that say where in a sequence
 * a token is, and how hidden states and logits follow from them. Whoever tunes or scores a model sees only this.
 */
import type { Shape } from "../../shared/graph/dims.js";
import type { DType, GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { Places } from "./places.js";

export interface Architecture {
  readonly layers: number;
  /** Numbers a token has between layers. */
  readonly hidden: number;
  /** Tokens, as many as there are logits. */
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  /** Names and shapes of all weights, as Hugging Face has them. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  /** What names begin with, and what checkpoints saved without a head leave out: "transformer.". */
  readonly prefix: string;
  /** The linears that may be adapted: all but the head. */
  readonly linears: readonly Linear[];
  /** The layers by the names that their modules' begin with: "model.layers.0". */
  readonly blocks: readonly string[];
  /** The attention's projections by the names that PEFT would be given, its output's last: what LoRA adapts unless told. */
  readonly attentionModules: readonly string[];
  /** Fed with every run. */
  readonly positionTables: readonly PositionTable[];
  /**
   * Hidden states before the final norm.
   * @param adapt puts an adapter in
   * @returns [B*T, hidden]
   */
  hiddenStates(g: GraphBuilder, inputs: SequenceInputs, weight: WeightOf, adapt: Adapt): Value;
  /** What logits are made of. @param rows hidden states [S, hidden] */
  head(g: GraphBuilder, rows: Value, weight: WeightOf): Head;
}

/** Logits are states times the weight's transpose, plus the bias. */
export interface Head {
  /** Normed: [S, hidden]. */
  readonly states: Value;
  /** [vocabulary, hidden] */
  readonly weight: Value;
  /** [vocabulary] */
  readonly bias?: Value;
}

export interface Linear {
  /** The module's name: "model.layers.0.self_attn.q_proj". */
  readonly name: string;
  readonly out: number;
  readonly in: number;
  /** The first of the linears that read the same values: its own name where it reads them alone. */
  readonly reads: string;
  readonly bias: boolean;
  /** The weight is [in, out], as GPT-2's Conv1D has it, not [out, in]. */
  readonly inputFirst: boolean;
}

/** A tensor that depends on where the tokens stand alone. */
export interface PositionTable {
  readonly name: string;
  readonly dtype: DType;
  /** "B" stands for the sequences, "T" for the tokens of each that are run, "K" for those with what was run before. */
  readonly shape: Shape;
  /** Row-major. */
  values(places: Places): Float32Array | Int32Array;
}

export interface SequenceInputs {
  /** int32 [B, T]; padding is on the right, where nobody looks. */
  readonly tokens: Value;
  /** A position table's value by its name. */
  readonly table: (name: string) => Value;
  /** Called with what goes into each layer, in their order. */
  readonly enter: (x: Value) => void;
  /** Called once a layer, in their order: puts keys and values [B, heads, T, width] behind those of tokens that were run before. */
  readonly past: (states: KeysAndValues) => KeysAndValues;
}

/** What a layer's attention keeps of each token. */
export interface KeysAndValues {
  readonly k: Value;
  readonly v: Value;
}

/** A weight's value by its Hugging Face name. */
export type WeightOf = (name: string) => Value;

/** How an adapter takes part in a model. */
export interface Adapt {
  /** A weight by its Hugging Face name: the base's, which an adapter may change. Called once for each that is used. */
  weight(name: string, base: Value): Value;
  /** The output of a linear: `base()`, to which an adapter may add its own term. @param x [B*T, in] */
  linear(name: string, x: Value, base: () => Value): Value;
  /**
   * Hidden states behind a part of a block: the sum of those before it and of what it gives, each [B*T, hidden]. An adapter may
   * change it. Called for both parts of every block, in their order.
   */
  join(block: string, part: BlockPart, before: Value, given: Value): Value;
}

export type BlockPart = "attention" | "feedForward";

/** No adapter. */
export function unadapted(g: GraphBuilder): Adapt {
  return {
    weight: (_, base) => base,
    linear: (_, __, base) => base(),
    join: (_, __, before, given) => g.add(before, given),
  };
}

/** The last parts of the linears' names, each once: "q_proj", "k_proj"... */
export function moduleNames({ linears }: Architecture): string[] {
  return [...new Set(linears.map(({ name }) => name.slice(name.lastIndexOf(".") + 1)))];
}
