/**
 * Reads fields of a config.json and checks them: a value of the wrong type or out of range is refused by file, field and value. The
 * methods here serve several families.
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

  /** Refuses a value that the field cannot have. @throws {KindredError} `invalid_model` */
  wrong(field: string, want: string): never {
    throw new KindredError("invalid_model", `${this.file}: ${field} is ${brief(this.json[field])}; expected ${want}`, {
      file: this.file,
      field,
    });
  }

  /** Refuses a valid value that Kindred does not support. @throws {KindredError} `unsupported` */
  unsupported(field: string, value: unknown, supported: string): never {
    throw new KindredError("unsupported", `${this.file}: ${field} ${brief(value)} is not supported (${supported})`, {
      file: this.file,
      field,
    });
  }

  /** An integer from 1. Null counts as absent; an absent field without `fallback` is refused. */
  integer(field: string, fallback?: number, most = MAX_SIZE): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most) {
      return this.wrong(field, `an integer from 1 to ${most}`);
    }
    return value;
  }

  /** The number of layers. */
  layers(field: string): number {
    return this.integer(field, undefined, MAX_LAYERS);
  }

  /** A positive finite number. */
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

  /** An activation by transformers' name for it. */
  activation(field: string, fallback: string): Activation {
    const name = this.json[field] ?? fallback;
    const known = typeof name === "string" ? ACTIVATIONS.get(name) : undefined;
    return known ?? this.unsupported(field, name, [...ACTIVATIONS.keys()].join(", "));
  }

  /** Width of a head: the hidden size divided by the number of heads. */
  headDim(hidden: string, heads: string): number {
    const count = this.integer(heads);
    const size = this.integer(hidden) / count;
    return Number.isInteger(size) ? size : this.wrong(hidden, `a multiple of ${heads} (${count})`);
  }
}
