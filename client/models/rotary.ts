/**
 * Rotary position embedding (Su et al. 2021) as tables of cosines and sines, with the scalings that configurations name: linear,
 * and Llama 3.1's by wavelength. Configurations are read in transformers' two styles: `rope_theta` with `rope_scaling`, and since
 * version 5 `rope_parameters`, which holds both.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief, isObject } from "../../shared/base/json.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import { rotaryField } from "../../shared/models/config-fields.js";
import type { PositionTable, SequenceInputs } from "./architecture.js";
import type { Fields } from "./fields.js";

/** Radians per position, [dims / 2], one per pair of dimensions: theta^(-2 i / dims). @param dims even */
export function frequencies(theta: number, dims: number): Float64Array {
  return Float64Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
}

/** A family's names of the older style's fields, and the default share of a head's dimensions that is rotated. */
export interface RotaryStyle {
  readonly theta: string;
  readonly share: string;
  readonly defaultShare: number;
}

/**
 * Frequencies of a configuration, scaled: [n] for the 2 n dimensions of a head that are rotated.
 * @throws {KindredError} `unsupported` or `invalid_model` naming the field
 */
export function readFrequencies({ json, file }: Fields, headDim: number, style: RotaryStyle): Float64Array {
  const field = rotaryField(json);
  const given = json[field] ?? {};
  const fail = (name: string, value: unknown, want: string): never => {
    throw new KindredError("invalid_model", `${file}: ${name} is ${brief(value)}; expected ${want}`, {
      file,
      field: name,
    });
  };
  if (!isObject(given)) return fail(field, given, "an object");
  const nested = Object.keys(given).find((key) => isObject(given[key]));
  if (nested !== undefined) {
    throw new KindredError("unsupported", `${file}: ${field}.${nested}: rotary embeddings by layer are not supported`, {
      file,
      field,
    });
  }
  const positive = (name: string, value: unknown): number =>
    typeof value === "number" && value > 0 && value < Number.POSITIVE_INFINITY
      ? value
      : fail(name, value, "a positive number");
  const theta = positive(style.theta, given.rope_theta ?? json[style.theta] ?? 10000);
  const share = positive(style.share, given.partial_rotary_factor ?? json[style.share] ?? style.defaultShare);
  // Another family's name of the field, which transformers passes over where the family has one of its own.
  for (const [name, own, counts] of [
    ["rope_theta", style.theta, theta],
    ["partial_rotary_factor", style.share, share],
  ] as const) {
    if (name === own || json[name] == null || json[name] === counts) continue;
    fail(name, json[name], `${counts}, which is what ${own} says or its default; write it as ${own}`);
  }
  const dims = Math.trunc(headDim * share);
  if (dims < 2 || dims > headDim || dims % 2 !== 0) {
    fail(style.share, share, `a share that makes an even number of a head's ${headDim} dimensions`);
  }
  const plain = frequencies(theta, dims);
  const kind = given.rope_type ?? given.type ?? "default";
  if (kind === "default") return plain;
  // Llama 3's scaling as a GGUF has it: one divisor per frequency.
  const { factors } = given;
  if (kind === "factors" && Array.isArray(factors) && factors.length === plain.length && factors.every((f) => f > 0)) {
    return plain.map((f, i) => f / factors[i]);
  }
  if (kind !== "llama3" && kind !== "linear") {
    throw new KindredError(
      "unsupported",
      `${file}: rope scaling ${brief(kind)} is not supported (default, linear, llama3)`,
      { file },
    );
  }
  const number = (name: string): number => positive(`rope scaling's ${name}`, given[name]);
  const factor = number("factor");
  if (kind === "linear") return plain.map((f) => f / factor);
  // Llama 3.1: long wavelengths are stretched by `factor`, short ones stay, those between are interpolated.
  const low = number("low_freq_factor");
  const high = number("high_freq_factor");
  const original = number("original_max_position_embeddings");
  return plain.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength < original / high) return f;
    if (wavelength > original / low) return f / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/** Tables `cos` and `sin` [B*T, n] of position times frequency. @param perPosition radians per position: [n] */
export function rotaryTables(perPosition: Float64Array): PositionTable[] {
  const width = perPosition.length;
  const table = (name: "cos" | "sin"): PositionTable => {
    // Of every position that has occurred: a batch takes its rows from here.
    let rows = new Float32Array();
    return {
      name,
      dtype: "float32",
      shape: ["B*T", width],
      values: ({ position }) => {
        const most = position.reduce((a, b) => Math.max(a, b), 0);
        if (rows.length <= most * width) {
          rows = Float32Array.from({ length: (most + 1) * width }, (_, i) =>
            Math[name](Math.floor(i / width) * perPosition[i % width]!),
          );
        }
        const values = new Float32Array(position.length * width);
        position.forEach((p, i) => {
          values.set(rows.subarray(p * width, (p + 1) * width), i * width);
        });
        return values;
      },
    };
  };
  return [table("cos"), table("sin")];
}

/** Rotates heads by the positions of their tokens. @param x B*T rows of heads * headDim numbers. @returns [1, B*T, width] */
export function applyRotary(
  g: GraphBuilder,
  x: Value,
  width: number,
  table: SequenceInputs["table"],
  options?: Parameters<GraphBuilder["rotary"]>[3],
): Value {
  return g.rotary(g.reshape(x, [1, "B*T", width]), table("cos"), table("sin"), options);
}
