/** A client's sketches as bytes: safetensors with one set of tensors per split. Bytes are hostile until checked. */
import { encodeSafetensors, parseSafetensors } from "../adapters/safetensors.js";
import { KindredError } from "../base/errors.js";
import type { FloatTensor, NamedTensors } from "../base/tensors.js";
import { type LogisticRows, MOST_CLASSES, MOST_NEGATIVES, ROW_TERMS, type RowLabels } from "./types.js";

export interface SketchedSplits {
  readonly train: LogisticRows;
  readonly validation: LogisticRows;
}

const SPLITS = ["train", "validation"] as const;

/** Encodes sketches. @param metadata of a file; messages have none */
export function encodeSketches(sketches: SketchedSplits, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  return encodeSafetensors(sketchTensors(sketches), { metadata });
}

/** Sketches as named tensors: what is sent and what a file holds. */
export function sketchTensors(sketches: SketchedSplits): NamedTensors {
  const tensors = new Map<string, FloatTensor>();
  for (const split of SPLITS) {
    const { dim, examples, margin, sketch, example, term, labels } = sketches[split];
    const rows = margin.length;
    tensors.set(`${split}.examples`, { shape: [1], data: Float32Array.of(examples) });
    tensors.set(`${split}.margin`, { shape: [rows], data: margin });
    tensors.set(`${split}.sketch`, { shape: [rows, dim], data: sketch });
    tensors.set(`${split}.example`, { shape: [rows], data: Float32Array.from(example) });
    tensors.set(`${split}.term`, { shape: [rows], data: Float32Array.from(term) });
    if (labels === undefined) continue;
    tensors.set(`${split}.label`, { shape: [examples], data: Float32Array.from(labels.answer) });
    tensors.set(`${split}.negative`, { shape: [rows], data: Float32Array.from(labels.negative) });
  }
  return tensors;
}

/** A header of a few tensors takes a few hundred bytes. */
const HEADER_BYTES = 65_536;

/** Node reads no larger file at once. */
const MOST_BYTES = 2 ** 31 - 1;

/** Most bytes that sketches of a number of examples per split take, of `dim` numbers each: what is longer need not be read. */
export function mostSketchBytes(examples: number, dim: number): number {
  const rows = SPLITS.length * examples * Object.keys(ROW_TERMS).length * MOST_NEGATIVES;
  // Beside its sketch a row has a margin, an example, a term and a negative; an example has a label.
  return Math.min(MOST_BYTES, HEADER_BYTES + 4 * rows * (dim + 5));
}

/**
 * Decodes and checks sketches.
 * @param who the client, for messages
 * @throws {KindredError} `invalid_message` naming the tensor, where bytes, shapes or numbers contradict each other
 */
export function decodeSketches(bytes: Uint8Array, dim: number, who: string): SketchedSplits {
  const { tensors } = parseSafetensors(bytes, { source: `sketches of ${who}` });
  return { train: decodeSplit(tensors, "train", dim, who), validation: decodeSplit(tensors, "validation", dim, who) };
}

function decodeSplit(tensors: NamedTensors, split: (typeof SPLITS)[number], dim: number, who: string): LogisticRows {
  const fail = (message: string): never => {
    throw new KindredError("invalid_message", `sketches of ${who}: ${message}`, { client: who });
  };
  const take = (name: string, shape?: readonly number[]): FloatTensor => {
    const tensor = tensors.get(`${split}.${name}`) ?? fail(`tensor ${split}.${name} is missing`);
    if (shape && (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis]))) {
      fail(`tensor ${split}.${name} has shape [${tensor.shape.join(", ")}]; expected [${shape.join(", ")}]`);
    }
    if (!tensor.data.every(Number.isFinite)) fail(`tensor ${split}.${name} holds a number that is not finite`);
    return tensor;
  };
  const examples = take("examples", [1]).data[0] as number;
  const margin = take("margin");
  const rows = margin.data.length;
  const sketch = take("sketch", [rows, dim]);
  const example = Int32Array.from(take("example", [rows]).data);
  const term = Uint8Array.from(take("term", [rows]).data);
  if (!Number.isInteger(examples) || examples < 1) fail(`${split}.examples is ${examples}; expected an integer from 1`);
  const terms = new Set<number>(Object.values(ROW_TERMS));
  let last = 0;
  for (let row = 0; row < rows; row++) {
    const at = example[row] as number;
    if (at < last || at > last + 1 || at >= examples)
      fail(`${split}.example[${row}] is ${at}; expected indices that ascend to ${examples - 1}`);
    if (!terms.has(term[row] as number))
      fail(`${split}.term[${row}] is ${term[row]}; expected ${[...terms].join(", ")}`);
    last = at;
  }
  if (last !== examples - 1) fail(`${split} has rows of ${last + 1} examples, not of ${examples}`);
  const indices = (name: string, length: number): Int32Array => {
    const { data } = take(name, [length]);
    const odd = data.findIndex((x) => !(Number.isInteger(x) && x >= -1 && x < MOST_CLASSES));
    if (odd >= 0) fail(`${split}.${name}[${odd}] is ${data[odd]}; expected -1 or the index of an answer`);
    return Int32Array.from(data);
  };
  const found = { dim, examples, margin: margin.data, sketch: sketch.data, example, term };
  if (!tensors.has(`${split}.label`) && !tensors.has(`${split}.negative`)) return found;
  const labels: RowLabels = { answer: indices("label", examples), negative: indices("negative", rows) };
  labels.negative.forEach((negative, row) => {
    const answer = labels.answer[example[row] as number];
    if (negative >= 0 && (term[row] !== ROW_TERMS.choice || answer === -1 || answer === negative))
      fail(
        `${split}.negative[${row}] is ${negative}: only a choice row whose example has another label has a negative`,
      );
  });
  return { ...found, labels };
}
