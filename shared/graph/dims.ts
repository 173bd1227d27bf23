/**
 * Dimensions of shapes: a number, or a product of a number and symbols, such as "B" or "8*B*T", whose values come from a run's feeds. So
 * one compiled graph serves every batch size and sequence length.
 */
import { KindredError } from "../base/errors.js";

/** A positive integer, or a canonical product: optional integer factor, then symbols in alphabetical order, joined by "*". */
export type Dim = number | string;
export type Shape = readonly Dim[];
export type Bindings = Readonly<Record<string, number>>;

interface Product {
  readonly factor: number;
  readonly symbols: readonly string[];
}

function parse(dim: Dim): Product {
  if (typeof dim === "number") return { factor: dim, symbols: [] };
  const parts = dim.split("*");
  const factor = /^\d/.test(parts[0] as string) ? Number(parts.shift()) : 1;
  return { factor, symbols: parts };
}

function format({ factor, symbols }: Product): Dim {
  if (symbols.length === 0) return factor;
  const product = [...symbols].sort().join("*");
  return factor === 1 ? product : `${factor}*${product}`;
}

/** The product of dimensions, in canonical form. */
export function product(dims: Shape): Dim {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    const parsed = parse(dim);
    factor *= parsed.factor;
    symbols.push(...parsed.symbols);
  }
  return format({ factor, symbols });
}

/** `a / b` where it is exact. @throws {KindredError} `shape_mismatch` otherwise */
export function quotient(a: Dim, b: Dim): Dim {
  const over = parse(a);
  const under = parse(b);
  const symbols = [...over.symbols];
  for (const symbol of under.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) throw new KindredError("shape_mismatch", `${a} is not a multiple of ${b}`);
    symbols.splice(at, 1);
  }
  if (over.factor % under.factor !== 0) throw new KindredError("shape_mismatch", `${a} is not a multiple of ${b}`);
  return format({ factor: over.factor / under.factor, symbols });
}

/** The integer factor and the symbols of a dimension; a symbol that occurs twice is listed twice. */
export function factors(dim: Dim): Product {
  return parse(dim);
}

/** The value of a dimension. @throws {KindredError} `shape_mismatch` for a symbol without a binding */
export function resolve(dim: Dim, bindings: Bindings): number {
  const { factor, symbols } = parse(dim);
  let value = factor;
  for (const symbol of symbols) {
    const bound = bindings[symbol];
    if (bound === undefined)
      throw new KindredError("shape_mismatch", `the dimension ${symbol} has no value; no feed has it`);
    value *= bound;
  }
  return value;
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** The shape of an elementwise operation on both, by the rules of numpy's broadcasting. @throws {KindredError} `shape_mismatch` */
export function broadcast(a: Shape, b: Shape): Dim[] {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - (rank - a.length)] ?? 1;
    const y = b[axis - (rank - b.length)] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new KindredError("shape_mismatch", `shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
    }
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** Binds a declared shape's symbols to a given shape. @throws {KindredError} `shape_mismatch` naming `what` */
export function bind(what: string, declared: Shape, given: readonly number[], bindings: Record<string, number>): void {
  const complain = (): never => {
    throw new KindredError(
      "shape_mismatch",
      `${what}: shape [${given.join(", ")}] does not fit [${declared.join(", ")}]${
        Object.keys(bindings).length ? ` with ${JSON.stringify(bindings)}` : ""
      }`,
    );
  };
  if (declared.length !== given.length) complain();
  for (let axis = 0; axis < declared.length; axis++) {
    const dim = declared[axis] as Dim;
    const size = given[axis] as number;
    if (typeof dim === "number") {
      if (dim !== size) complain();
    } else if (bindings[dim] === undefined && parse(dim).symbols.length === 1 && parse(dim).factor === 1) {
      bindings[dim] = size;
    } else if (resolve(dim, bindings) !== size) complain();
  }
}
