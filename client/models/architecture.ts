/**
 * The interface of a model family to the rest of the client: sizes, weights, linears, tables that depend on the positions of tokens,
 * and two functions that append hidden states and logits to a graph. Tuning and scoring know a model by this interface alone.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { Shape } from "../../shared/graph/dims.js";
import type { DType, GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { ModelFolder } from "../../shared/models/files.js";
import type { TokenPositions } from "./positions.js";

/**
 * A model as its configuration describes it. In shapes, "B" is the number of sequences of a run, "T" the number of tokens of each
 * that are run, "K" those tokens and the ones that were run before.
 */
export interface Architecture {
  readonly layers: number;
  /** Width of the hidden states between layers. */
  readonly hidden: number;
  /** Tokens of the vocabulary: the number of logits. */
  readonly vocabulary: number;
  /** Longest sequence, in tokens. */
  readonly context: number;
  /** Names and shapes of all weights, as Hugging Face has them. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  /**
   * Present where the configuration says that the head's weight is the embedding's: the names of both. Files may hold either one, or
   * two different ones, which are then not tied: `read` is called again with `tie_word_embeddings: false`.
   */
  readonly tied?: { readonly embedding: string; readonly head: string };
  /** The beginning of the weights' names that checkpoints saved without a head leave out: "transformer.". */
  readonly prefix: string;
  /** Names that some checkpoints have instead, by the names in `weights`. */
  readonly otherNames?: ReadonlyMap<string, string>;
  /** The linears that may be adapted: all but the head. */
  readonly linears: readonly Linear[];
  /** The layers' names, each the beginning of its modules' names: "model.layers.0". */
  readonly blocks: readonly string[];
  /** The attention's projections as PEFT names them, the output's last. LoRA adapts these by default. */
  readonly attentionModules: readonly string[];
  /** Inputs of every run. */
  readonly positionTables: readonly PositionTable[];
  /**
   * Appends everything before the final norm.
   * @param adapt where an adapter takes part
   * @returns hidden states [B*T, hidden]
   */
  hiddenStates(g: GraphBuilder, inputs: SequenceInputs, weight: WeightOf, adapt: AdapterHooks): Value;
  /** Appends the final norm. @param rows hidden states [S, hidden] of the S tokens whose logits are asked for */
  head(g: GraphBuilder, rows: Value, weight: WeightOf): Head;
}

/** The parts of the logits [S, vocabulary] = states · weightᵀ + bias. */
export interface Head {
  /** Hidden states after the final norm: [S, hidden]. */
  readonly states: Value;
  /** [vocabulary, hidden] */
  readonly weight: Value;
  /** [vocabulary] */
  readonly bias?: Value;
}

/** A linear layer: y = W x + b. */
export interface Linear {
  /** The module's name: "model.layers.0.self_attn.q_proj". */
  readonly name: string;
  readonly out: number;
  readonly in: number;
  /** The name of the first linear that has the same input; its own name where no other linear shares its input. */
  readonly inputGroup: string;
  readonly bias: boolean;
  /** The weight is [in, out], as in GPT-2's Conv1D, not [out, in]. */
  readonly inputFirst: boolean;
}

/**
 * A weight's name in the files. Checkpoints that were saved without a head (the hub's GPT-2 is one) leave out the prefix.
 * @throws {KindredError} `invalid_model` where the files have the weight under two names
 */
export function storedName(
  { tensors, path }: Pick<ModelFolder, "tensors" | "path">,
  { prefix, otherNames }: Pick<Architecture, "prefix" | "otherNames">,
  name: string,
): string {
  const short = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const names = [...new Set([name, short, otherNames?.get(name) ?? name])];
  const [found = name, second] = names.filter((each) => tensors.has(each));
  if (second === undefined) return found;
  throw new KindredError(
    "invalid_model",
    `${path}: tensor ${name} is there twice, as ${found} and as ${second}; remove the one that does not belong to the model`,
    { tensor: name },
  );
}

/** Shape of a linear's weight. */
export function linearShape({ in: width, out, inputFirst }: Linear): readonly [number, number] {
  return inputFirst ? [width, out] : [out, width];
}

/** An input that depends on the positions of the tokens alone. */
export interface PositionTable {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Row-major. */
  values(positions: TokenPositions): Float32Array | Int32Array;
}

/** The graph's input of a position table. With a prefix, because a family may name its table like another input: "positions". */
export const tableInput = (name: string): string => `table.${name}`;

export interface SequenceInputs {
  /** int32 [B, T]; padded on the right, where no other token attends. */
  readonly tokens: Value;
  /** A position table's value by its name. */
  readonly table: (name: string) => Value;
  /** To be called with the input of each layer, in the layers' order. */
  readonly onLayerInput: (x: Value) => void;
  /**
   * To be called once per layer, in the layers' order: appends keys and values [B, heads, T, width] to those of the tokens that were
   * run before, giving [B, heads, K, width].
   */
  readonly withPast: (states: KeysAndValues) => KeysAndValues;
}

/** Keys and values of a layer's attention. */
export interface KeysAndValues {
  readonly k: Value;
  readonly v: Value;
}

/** A weight's value by its Hugging Face name. */
export type WeightOf = (name: string) => Value;

/** The points of a model at which an adapter may act. */
export interface AdapterHooks {
  /** A weight by its Hugging Face name. @param base the base model's. Called once for each weight that is used. */
  weight(name: string, base: Value): Value;
  /** The output [B*T, out] of a linear. @param x [B*T, in]. @param base appends the base model's output */
  linear(name: string, x: Value, base: () => Value): Value;
  /**
   * The residual sum after a part of a block. To be called for both parts of every block, in their order.
   * @param before hidden states before the part: [B*T, hidden]
   * @param given the part's output: [B*T, hidden]
   */
  join(block: string, part: BlockPart, before: Value, given: Value): Value;
}

export type BlockPart = "attention" | "feedForward";

/** The base model as it is. */
export function noAdapter(g: GraphBuilder): AdapterHooks {
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
