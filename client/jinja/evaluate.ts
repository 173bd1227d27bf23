/** Evaluates expressions in a scope. */
import { MAX_TEXT, spend, spendOnParts, spendOnText } from "./budget.js";
import { TemplateError, ValueError } from "./errors.js";
import { applyFilter } from "./filters.js";
import { Loop } from "./loop.js";
import type { CallArguments, Expression } from "./nodes.js";
import { binary, compares, getAttribute, getItem, slice } from "./operators.js";
import { passes } from "./tests.js";
import {
  type Arguments,
  asNumber,
  Callable,
  type Dict,
  isList,
  isNumeric,
  isTrue,
  iterate,
  keyOf,
  Tuple,
  toText,
  typeOf,
  Undefined,
  type Value,
} from "./values.js";

/** Names and their values: those of a loop's turn, a macro or a block, and behind them those around. */
export class Scope {
  private readonly names = new Map<string, Value>();

  constructor(private readonly parent: Scope | ((name: string) => Value | undefined)) {}

  get(name: string): Value | undefined {
    const own = this.names.get(name);
    if (own !== undefined) return own;
    return typeof this.parent === "function" ? this.parent(name) : this.parent.get(name);
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}

/** Runs what a line of the template does, and names the line where it fails. */
export function atLine<T>(line: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof ValueError) throw new TemplateError(error.message, line);
    throw error;
  }
}

/** A value, or what stands for one that is not there. None is a value. */
export function defined(value: Value | undefined, message: string): Value {
  return value === undefined ? new Undefined(message) : value;
}

/** Expressions that may make a new list. */
const MAKERS: ReadonlySet<Expression["kind"]> = new Set(["binary", "call", "filter"]);

export class Evaluator {
  evaluate(node: Expression, scope: Scope): Value {
    spend();
    const value = this.valueOf(node, scope);
    if (typeof value === "string") spendOnText(value);
    else if (isList(value) && MAKERS.has(node.kind)) spendOnParts(value);
    return value;
  }

  private valueOf(node: Expression, scope: Scope): Value {
    switch (node.kind) {
      case "constant":
        return node.value;
      case "name":
        return defined(scope.get(node.name), `${node.name} is undefined`);
      case "list":
        return node.items.map((item) => this.evaluate(item, scope));
      case "tuple":
        return new Tuple(node.items.map((item) => this.evaluate(item, scope)));
      case "and": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? this.evaluate(node.right, scope) : left;
      }
      case "or": {
        const left = this.evaluate(node.left, scope);
        return isTrue(left) ? left : this.evaluate(node.right, scope);
      }
      case "not":
        return !isTrue(this.evaluate(node.operand, scope));
      case "condition": {
        if (isTrue(this.evaluate(node.test, scope))) return this.evaluate(node.yes, scope);
        if (node.no !== undefined) return this.evaluate(node.no, scope);
        return new Undefined("the condition is false and has no else");
      }
      default:
        return atLine(node.line, () => this.apply(node, scope));
    }
  }

  /** Operations that may fail. */
  private apply(node: Expression, scope: Scope): Value {
    switch (node.kind) {
      case "attribute":
        return getAttribute(this.evaluate(node.object, scope), node.name);
      case "item":
        return this.item(node, scope);
      case "call":
        return this.call(this.evaluate(node.callee, scope), this.given(node.given, scope));
      case "filter":
        return applyFilter(node.name, this.evaluate(node.operand!, scope), this.given(node.given, scope));
      case "test":
        return passes(node.name, this.evaluate(node.operand, scope), this.given(node.given, scope));
      case "dict":
        return this.dict(node.entries, scope);
      case "negative":
      case "positive": {
        const value = this.evaluate(node.operand, scope);
        if (value instanceof Undefined) value.fail();
        if (!isNumeric(value)) throw new ValueError(`a ${typeOf(value)} has no sign`);
        return node.kind === "negative" ? -asNumber(value) : asNumber(value);
      }
      case "binary":
        return binary(node.operator, this.evaluate(node.left, scope), this.evaluate(node.right, scope));
      case "concatenation": {
        const text = node.parts.map((part) => toText(this.evaluate(part, scope))).join("");
        if (text.length > MAX_TEXT) throw new ValueError(`makes a text longer than ${MAX_TEXT}`);
        return text;
      }
      case "comparison":
        return this.comparison(node, scope);
      default:
        throw new ValueError(`${node.kind} has no value`);
    }
  }

  private item({ object, key }: Extract<Expression, { kind: "item" }>, scope: Scope): Value {
    const value = this.evaluate(object, scope);
    if (key.kind !== "slice") return getItem(value, this.evaluate(key, scope));
    const bound = (part: Expression | undefined): Value => (part === undefined ? null : this.evaluate(part, scope));
    return slice(value, bound(key.start), bound(key.stop), bound(key.step));
  }

  private dict(entries: readonly (readonly [Expression, Expression])[], scope: Scope): Dict {
    return new Map(entries.map(([key, value]) => [keyOf(this.evaluate(key, scope)), this.evaluate(value, scope)]));
  }

  private comparison({ first, rest }: Extract<Expression, { kind: "comparison" }>, scope: Scope): boolean {
    let left = this.evaluate(first, scope);
    for (const [operator, operand] of rest) {
      const right = this.evaluate(operand, scope);
      if (!compares(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  /** @throws {ValueError} where the value is no function, and as the function */
  call(callee: Value, given: Arguments): Value {
    if (callee instanceof Undefined) callee.fail();
    if (callee instanceof Loop && callee.again !== undefined) return callee.again(given);
    if (!(callee instanceof Callable)) throw new ValueError(`a ${typeOf(callee)} cannot be called`);
    return callee.call(given);
  }

  given({ positional, named, list, dict }: CallArguments, scope: Scope): Arguments {
    const values = positional.map((argument) => this.evaluate(argument, scope));
    if (list !== undefined) values.push(...iterate(this.evaluate(list, scope)));
    const names = new Map(named.map(([name, value]) => [name, this.evaluate(value, scope)]));
    const more = dict === undefined ? new Map<Value, Value>() : this.evaluate(dict, scope);
    if (!(more instanceof Map)) throw new ValueError("what follows ** must be a dict");
    for (const [name, value] of more) {
      if (typeof name !== "string" || names.has(name))
        throw new ValueError(`the argument ${toText(name)} cannot be given`);
      names.set(name, value);
    }
    return { positional: values, named: names };
  }
}
