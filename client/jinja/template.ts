/**
 * Chat templates: Jinja as transformers configures it, so that a template writes the same text here and there. What the language has
 * and this has not is refused by name, most of it when the template is read.
 */
import { bind, type ParameterOf } from "./arguments.js";
import { MAX_TEXT, spend, spendOnText, withBudget } from "./budget.js";
import { TemplateError, ValueError } from "./errors.js";
import { atLine, Evaluator, Scope } from "./evaluate.js";
import { applyFilter } from "./filters.js";
import { globalsAt } from "./globals.js";
import { Loop } from "./loop.js";
import {
  type Body,
  type Expression,
  type ForLoop,
  type Parameter,
  readsName,
  type Statement,
  type Target,
} from "./nodes.js";
import { parse } from "./parser.js";
import {
  type Arguments,
  Callable,
  type Dict,
  isTrue,
  iterate,
  Namespace,
  Tuple,
  toText,
  Undefined,
  type Value,
} from "./values.js";

/** Part of a text, in UTF-16 units: from `start` up to, not including, `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Rendered {
  readonly text: string;
  /** What `{% generation %}` holds, in the order of the text. */
  readonly marked: readonly Range[];
}

/** Text that grows. */
class Output {
  private readonly parts: string[] = [];
  length = 0;

  write(text: string): void {
    spendOnText(text);
    this.length += text.length;
    if (this.length > MAX_TEXT) throw new ValueError(`the template writes a text longer than ${MAX_TEXT}`);
    this.parts.push(text);
  }

  get text(): string {
    return this.parts.join("");
  }
}

type Signal = "break" | "continue" | undefined;

/** Renders one template once. */
class Renderer {
  private readonly values = new Evaluator();
  private readonly whole = new Output();
  private readonly marked: Range[] = [];

  render(body: Body, scope: Scope): Rendered {
    if (this.body(body, scope, this.whole) !== undefined) throw new TemplateError("break or continue outside a loop");
    return { text: this.whole.text, marked: this.marked };
  }

  private body(body: Body, scope: Scope, output: Output): Signal {
    for (const statement of body) {
      const signal = atLine(statement.line, () => {
        spend();
        return this.statement(statement, scope, output);
      });
      if (signal !== undefined) return signal;
    }
    return undefined;
  }

  /** What a body writes, in a scope of its own. */
  private textOf(body: Body, scope: Scope): string {
    const output = new Output();
    if (this.body(body, scope, output) !== undefined) throw new ValueError("break or continue outside a loop");
    return output.text;
  }

  private statement(node: Statement, scope: Scope, output: Output): Signal {
    switch (node.kind) {
      case "text":
        output.write(node.text);
        return;
      case "output":
        output.write(toText(this.values.evaluate(node.value, scope)));
        return;
      case "if": {
        const branch = node.branches.find(({ test }) => isTrue(this.values.evaluate(test, scope)));
        return this.body(branch?.body ?? node.otherwise, scope, output);
      }
      case "for":
        return this.loop(node, scope, output, this.values.evaluate(node.items, scope), 1);
      case "set":
        this.assign(node.target, this.values.evaluate(node.value, scope), scope);
        return;
      case "set-block": {
        const text = this.textOf(node.body, new Scope(scope));
        this.assign(node.target, node.filter === undefined ? text : this.filtered(node.filter, text, scope), scope);
        return;
      }
      case "with": {
        const inner = new Scope(scope);
        for (const [target, value] of node.values) this.assign(target, this.values.evaluate(value, scope), inner);
        return this.body(node.body, inner, output);
      }
      case "macro":
        scope.set(node.name, this.macro(node.name, node.parameters, node.body, scope));
        return;
      case "call-block": {
        const given = this.values.given(node.call.given, scope);
        const caller = this.macro("caller", node.parameters, node.body, scope);
        const named = new Map([...given.named, ["caller", caller] as const]);
        output.write(toText(this.values.call(this.values.evaluate(node.call.callee, scope), { ...given, named })));
        return;
      }
      case "filter-block":
        output.write(toText(this.filtered(node.filter, this.textOf(node.body, new Scope(scope)), scope)));
        return;
      case "generation": {
        const text = this.textOf(node.body, new Scope(scope));
        // Inside a macro, transformers counts from the text that is written when the macro is called.
        this.marked.push({ start: this.whole.length, end: this.whole.length + text.length });
        output.write(text);
        return;
      }
      default:
        return node.kind;
    }
  }

  /** A block's text through the filters of its head. */
  private filtered(filter: Expression, text: string, scope: Scope): Value {
    if (filter.kind !== "filter") return text;
    const value = filter.operand === undefined ? text : this.filtered(filter.operand, text, scope);
    return applyFilter(filter.name, value, this.values.given(filter.given, scope));
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") scope.set(target.name, value);
    else if (target.kind === "field") {
      const object = scope.get(target.object);
      if (!(object instanceof Namespace)) throw new ValueError(`${target.object} is no namespace`);
      if (target.name.startsWith("_")) throw new ValueError(`a namespace has no field ${target.name}`);
      object.fields.set(target.name, value);
    } else {
      const items = iterate(value);
      if (items.length !== target.items.length) {
        throw new ValueError(`${items.length} values for ${target.items.length} names`);
      }
      target.items.forEach((inner, at) => void this.assign(inner, items[at]!, scope));
    }
  }

  private loop(node: ForLoop, scope: Scope, output: Output, over: Value, depth: number): undefined {
    const items = iterate(over).filter((item) => {
      spend();
      if (node.filter === undefined) return true;
      const inner = new Scope(scope);
      this.assign(node.target, item, inner);
      return isTrue(this.values.evaluate(node.filter, inner));
    });
    const again = ({ positional: [inner = null] }: Arguments): Value => {
      const nested = new Output();
      this.loop(node, scope, nested, inner, depth + 1);
      return nested.text;
    };
    let completed = false;
    const loop = new Loop(items, depth, node.recursive ? again : undefined);
    for (const [at, item] of items.entries()) {
      const turn = new Scope(scope);
      loop.at = at;
      turn.set("loop", loop);
      this.assign(node.target, item, turn);
      const signal = this.body(node.body, turn, output);
      completed ||= signal === undefined;
      if (signal === "break") break;
    }
    // As in Jinja, the else part also follows turns that were all left by break or continue.
    if (!completed && this.body(node.otherwise, new Scope(scope), output) !== undefined) {
      throw new ValueError("break or continue outside a loop");
    }
    return undefined;
  }

  /** A macro reads the names around its definition, as they are when it is called. */
  private macro(name: string, parameters: readonly Parameter[], body: Body, scope: Scope): Callable {
    const own = new Set(parameters.map((parameter) => parameter.name));
    const reads = (special: string): boolean => !own.has(special) && readsName(body, special);
    const [varargs, kwargs, caller] = [reads("varargs"), reads("kwargs"), reads("caller")];
    return new Callable(name, ({ positional, named }) => {
      const inner = new Scope(scope);
      const rest = new Map(named);
      if (caller) {
        inner.set(
          "caller",
          rest.get("caller") ?? new Undefined("caller is undefined: the macro was not called by a call block"),
        );
        rest.delete("caller");
      }
      const known: Arguments = {
        positional: varargs ? positional.slice(0, parameters.length) : positional,
        named: kwargs ? new Map([...rest].filter(([key]) => own.has(key))) : rest,
      };
      if (varargs) inner.set("varargs", new Tuple(positional.slice(parameters.length)));
      if (kwargs) inner.set("kwargs", new Map([...rest].filter(([key]) => !own.has(key))));
      const missing = parameters.map(
        (parameter): ParameterOf => [parameter.name, new Undefined(`${parameter.name} is not given`)],
      );
      const values = bind(name, known, missing);
      parameters.forEach((parameter, at) => {
        const given = at < known.positional.length || known.named.has(parameter.name);
        const value =
          given || parameter.preset === undefined ? values[at]! : this.values.evaluate(parameter.preset, inner);
        inner.set(parameter.name, value);
      });
      return this.textOf(body, inner);
    });
  }
}

function hasGeneration(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  if ("kind" in body && body.kind === "generation") return true;
  return Object.values(body).some(hasGeneration);
}

/** The engine's own limits as errors of the template. */
function bounded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const deep = /call stack/.test(error.message);
    throw new TemplateError(
      deep ? "calls, blocks or expressions are nested too deep" : "makes a value that is too long",
    );
  }
}

export class Template {
  private readonly body: Body;
  /** Whether the template marks what the model generates, by `{% generation %}`. */
  readonly marks: boolean;

  /** @throws {TemplateError} naming the line where the text is no template, or has something that is not supported */
  constructor(source: string) {
    [this.body, this.marks] = bounded(() => {
      const body = parse(source);
      return [body, hasGeneration(body)];
    });
  }

  /**
   * @param variables the template's own names. They go before the functions that every template has
   * @param now what `strftime_now` writes, in the machine's time zone
   * @throws {TemplateError} naming the line: where transformers raises an error, where the template raises one itself
   * (`raise_exception`), and where it takes too long
   */
  render(variables: Dict, now: Date): Rendered {
    const globals = globalsAt(now);
    const scope = new Scope((name) => (variables.has(name) ? variables.get(name) : globals.get(name)));
    return bounded(() => withBudget(() => new Renderer().render(this.body, scope)));
  }
}
