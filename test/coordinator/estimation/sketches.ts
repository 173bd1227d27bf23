/** Small random sketches for the estimation tests: ragged, with one row per example, two, or more where choices have negatives. */
import { SeededRng } from "../../../shared/base/random.js";
import { type ClientSketch, type LogisticRows, ROW_TERMS } from "../../../shared/sketch/types.js";

export interface Draw {
  readonly examples: number;
  readonly dim: number;
  readonly twoTerm?: boolean;
  /** With two terms: every third example has one choice row, the others this many. */
  readonly negatives?: number;
  /** Mean of the margins. */
  readonly margin?: number;
  /** Size of a sketch's entries. */
  readonly size?: number;
}

export function randomRows(
  rng: SeededRng,
  { examples, dim, twoTerm = false, negatives = 1, margin = 0, size = 1 }: Draw,
): LogisticRows {
  const example: number[] = [];
  const term: number[] = [];
  for (let e = 0; e < examples; e++) {
    const choices = new Array(e % 3 === 2 ? 1 : negatives).fill(ROW_TERMS.choice);
    for (const each of twoTerm ? [ROW_TERMS.format, ...choices] : [ROW_TERMS.answer]) {
      example.push(e);
      term.push(each);
    }
  }
  const rows = example.length;
  return {
    dim,
    examples,
    margin: Float32Array.from({ length: rows }, () => margin + rng.normal()),
    sketch: Float32Array.from(
      { length: rows * dim },
      (_, x) => (size * rng.normal()) / Math.sqrt(dim * (1 + (x % dim))),
    ),
    example: Int32Array.from(example),
    term: Uint8Array.from(term),
  };
}

/** Clients with 1 to 12 training examples and 1 to 4 validation examples; every third has capped rows. */
export function randomSketches(clients: number, draw: Omit<Draw, "examples">, seed = 0): ClientSketch[] {
  return Array.from({ length: clients }, (_, i) => {
    const rng = new SeededRng(seed, "sketch", i);
    const examples = 1 + ((i * 5) % 12);
    return {
      client: `client-${i}`,
      trainExamples: i % 3 === 0 ? examples * 4 : examples,
      train: randomRows(rng, { ...draw, examples }),
      validation: randomRows(rng, { ...draw, examples: 1 + (i % 4) }),
    };
  });
}
