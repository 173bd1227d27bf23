/**
 * Rotary position embedding (Su et al. 2021) as tables of cosines and sines, with the ways of stretching it that configurations
 * name: linear, and Llama 3.1's by wavelength. Configurations are read in transformers' two styles: `rope_theta` with
 * `rope_scaling`, and since version 5 `rope_parameters`, which holds both.
 */
import { KindredError } from "../../shared/base/errors.js";
import { isObject } from "../../shared/base/json.js";
import type { PositionTable } from "./architecture.js";
import type { Fields } from "./fields.js";

/** Radians a position, one a pair of dimensions: theta^(-2 i / dims). @param dims even */
export function frequencies(theta: number, dims: number): Float64Array {
  return Float64Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims));
}

/** A family's names of the older style's fields, and the share of a head's dimensions that turns unless given. */
export interface RotaryStyle {
  readonly theta: string;
  readonly share: string;
  readonly defaultShare: number;
}

/**
 * Frequencies as a configuration says, scaling applied: [n] for the 2 n dimensions of a head that turn.
 * @throws {KindredError} `unsupported` or `invalid_model` naming the field
 */
export function readFrequencies({ json, file }: Fields, headDim: number, style: RotaryStyle): Float64Array {
  const field = json.rope_parameters == null ? "rope_scaling" : "rope_parameters";
  const given = json[field] ?? {};
  const fail = (name: string, value: unknown, want: string): never => {
    throw new KindredError("invalid_model", `${file}: ${name} is ${JSON.stringify(value)}, should be ${want}`, {
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
  const theta = positive(style.theta, given.rope_theta ?? json[style.theta] ?? json.rope_theta ?? 10000);
  const share = positive(style.share, given.partial_rotary_factor ?? json[style.share] ?? style.defaultShare);
  const dims = Math.trunc(headDim * share);
  if (dims < 2 || dims > headDim || dims % 2 !== 0) {
    fail(style.share, share, `such that an even number of a head's ${headDim} dimensions turns`);
  }
  const plain = frequencies(theta, dims);
  const kind = given.rope_type ?? given.type ?? "default";
  if (kind === "default") return plain;
  if (kind !== "llama3" && kind !== "linear") {
    throw new KindredError(
      "unsupported",
      `${file}: rope scaling ${JSON.stringify(kind)} is not supported (default, linear, llama3)`,
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

/** `cos` and `sin` [T, n] of position times frequency. */
export function rotaryTables(perPosition: Float64Array): PositionTable[] {
  const table = (name: "cos" | "sin"): PositionTable => ({
    name,
    dtype: "float32",
    shape: ["T", perPosition.length],
    values: (length) => {
      const width = perPosition.length;
      const values = new Float32Array(length * width);
      for (let t = 0; t < length; t++) {
        for (let i = 0; i < width; i++) values[t * width + i] = Math[name](t * perPosition[i]!);
      }
      return values;
    },
  });
  return [table("cos"), table("sin")];
}
