/**
 * Fields of a config.json, checked as they are read: a value of the wrong kind or range is refused by file, field and value. It
 * knows no family, only what several share.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import { ACTIVATIONS, type Activation } from "./layers.js";

/** Sizes above any model's: vocabularies are at most about 3e5, contexts 1e7. */
const MAX_SIZE = 1e7;
/** Llama 3.1 405B has 126. */
const MAX_LAYERS = 1000;

export class Fields {
  constructor(
    readonly json: Readonly<Record<string, unknown>>,
    readonly file: string,
  ) {}

  /** The value is none that the field can have. */
  wrong(field: string, want: string): never {
    throw new KindredError("invalid_model", `${this.file}: ${field} is ${brief(this.json[field])}, should be ${want}`, {
      file: this.file,
      field,
    });
  }

  /** The value is a sound one that Kindred does not do. */
  unsupported(field: string, value: unknown, supported: string): never {
    throw new KindredError("unsupported", `${this.file}: ${field} ${brief(value)} is not supported (${supported})`, {
      file: this.file,
      field,
    });
  }

  /** Null is absent. */
  integer(field: string, fallback?: number, most = MAX_SIZE): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most) {
      return this.wrong(field, `an integer from 1 to ${most}`);
    }
    return value;
  }

  layers(field: string): number {
    return this.integer(field, undefined, MAX_LAYERS);
  }

  positive(field: string, fallback?: number): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== "number" || !(value > 0 && value < Number.POSITIVE_INFINITY)) {
      return this.wrong(field, "a positive number");
    }
    return value;
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.json[field] ?? fallback;
    return typeof value === "boolean" ? value : this.wrong(field, "true or false");
  }

  activation(field: string, fallback: string): Activation {
    const name = this.json[field] ?? fallback;
    const known = typeof name === "string" ? ACTIVATIONS.get(name) : undefined;
    return known ?? this.unsupported(field, name, [...ACTIVATIONS.keys()].join(", "));
  }

  /** Numbers a head where the heads share the hidden size. */
  headDim(hidden: string, heads: string): number {
    const count = this.integer(heads);
    const size = this.integer(hidden) / count;
    return Number.isInteger(size) ? size : this.wrong(hidden, `a multiple of ${heads} (${count})`);
  }
}
