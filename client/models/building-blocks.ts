/**
 * Everything that the author of a family needs beside `defineFamily`: the interface to fulfil (`Architecture`), checked reading of
 * configurations (`Fields`), and the parts that the families here are built from. gpt2.ts is a complete example.
 */
export type { Dim, Shape } from "../../shared/graph/dims.js";
export type { DType, GraphBuilder, Value } from "../../shared/graph/graph.js";
export type {
  AdapterHooks,
  Architecture,
  BlockPart,
  Head,
  KeysAndValues,
  Linear,
  PositionTable,
  SequenceInputs,
  WeightOf,
} from "./architecture.js";
export { type AttentionContext, attend, causalMask, type HeadSizes } from "./attention.js";
export { defineFamily, type Family, supportedModelTypes } from "./families.js";
export { Fields } from "./fields.js";
export {
  type Activation,
  adaptedLinears,
  layerNorm,
  linearWeights,
  type NamedShape,
  normWeights,
  sharedInput,
} from "./layers.js";
export type { Span, TokenPositions } from "./positions.js";
export { applyRotary, frequencies, type RotaryStyle, readFrequencies, rotaryTables } from "./rotary.js";
