/** Parses expressions, with the precedences of Jinja. */
import { MAX_DIGITS } from "./budget.js";
import { TemplateError } from "./errors.js";
import type { Token, TokenKind } from "./lexer.js";
import type { CallArguments, Expression, SliceKey } from "./nodes.js";

const NONE: CallArguments = { positional: [], named: [] };
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ...(["true", "True"] as const).map((name) => [name, true] as const),
  ...(["false", "False"] as const).map((name) => [name, false] as const),
  ...(["none", "None"] as const).map((name) => [name, null] as const),
]);
/** Deeper nesting is no template but an attack on the stack. */
const MAX_DEPTH = 200;

export interface TupleOptions {
  /** Whether `a if b else c` may stand without parentheses. */
  readonly conditions?: boolean;
  /** Names that end the list, as `in` ends the targets of a loop. */
  readonly ends?: readonly string[];
}

export class ExpressionParser {
  protected at = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  protected get current(): Token {
    return this.tokens[this.at]!;
  }

  protected next(): Token {
    const token = this.current;
    if (token.kind !== "eof") this.at++;
    return token;
  }

  protected fail(message: string, line = this.current.line): TemplateError {
    return new TemplateError(message, line);
  }

  protected unexpected(wanted: string): TemplateError {
    const { kind, value } = this.current;
    const got = kind === "eof" ? "the template's end" : JSON.stringify(value.slice(0, 40));
    return this.fail(`expected ${wanted}, got ${got}`);
  }

  protected is(kind: TokenKind, ...values: readonly string[]): boolean {
    return this.current.kind === kind && (values.length === 0 || values.includes(this.current.value));
  }

  protected isOperator(...values: readonly string[]): boolean {
    return this.is("operator", ...values);
  }

  protected skipIf(kind: TokenKind, value: string): boolean {
    if (!this.is(kind, value)) return false;
    this.next();
    return true;
  }

  protected expect(kind: TokenKind, value?: string): Token {
    if (!this.is(kind, ...(value === undefined ? [] : [value]))) throw this.unexpected(value ?? `a ${kind}`);
    return this.next();
  }

  /** An expression, or several with commas between them. */
  protected tuple({ conditions = true, ends = [] }: TupleOptions = {}, inParentheses = false): Expression {
    const { line } = this.current;
    const items: Expression[] = [];
    let several = false;
    while (!this.tupleEnds(ends)) {
      items.push(conditions ? this.expression() : this.or());
      if (!this.skipIf("operator", ",")) break;
      several = true;
    }
    if (!several && items.length === 1) return items[0]!;
    if (items.length === 0 && !inParentheses) throw this.unexpected("an expression");
    return { kind: "tuple", items, line };
  }

  private tupleEnds(ends: readonly string[]): boolean {
    return this.is("end") || this.isOperator(")") || (ends.length > 0 && this.is("name", ...ends));
  }

  protected expression(): Expression {
    if (++this.depth > MAX_DEPTH) throw this.fail(`expressions are nested deeper than ${MAX_DEPTH}`);
    let value = this.or();
    while (this.skipIf("name", "if")) {
      const test = this.or();
      const no = this.skipIf("name", "else") ? this.expression() : undefined;
      value = { kind: "condition", test, yes: value, no, line: value.line };
    }
    this.depth--;
    return value;
  }

  private or(): Expression {
    let left = this.and();
    while (this.skipIf("name", "or")) left = { kind: "or", left, right: this.and(), line: left.line };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.skipIf("name", "and")) left = { kind: "and", left, right: this.not(), line: left.line };
    return left;
  }

  private not(): Expression {
    const { line } = this.current;
    if (!this.skipIf("name", "not")) return this.comparison();
    if (++this.depth > MAX_DEPTH) throw this.fail(`expressions are nested deeper than ${MAX_DEPTH}`);
    const operand = this.not();
    this.depth--;
    return { kind: "not", operand, line };
  }

  private comparison(): Expression {
    const first = this.sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      if (this.current.kind === "operator" && COMPARISONS.has(this.current.value)) {
        rest.push([this.next().value, this.sum()]);
      } else if (this.skipIf("name", "in")) {
        rest.push(["in", this.sum()]);
      } else if (this.is("name", "not") && this.tokens[this.at + 1]?.value === "in") {
        this.at += 2;
        rest.push(["not in", this.sum()]);
      } else break;
    }
    return rest.length === 0 ? first : { kind: "comparison", first, rest, line: first.line };
  }

  private binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.isOperator(...operators)) {
      const operator = this.next().value;
      left = { kind: "binary", operator, left, right: operand(), line: left.line };
    }
    return left;
  }

  private sum(): Expression {
    return this.binary(["+", "-"], () => this.concatenation());
  }

  private concatenation(): Expression {
    const parts = [this.product()];
    while (this.skipIf("operator", "~")) parts.push(this.product());
    return parts.length === 1 ? parts[0]! : { kind: "concatenation", parts, line: parts[0]!.line };
  }

  private product(): Expression {
    return this.binary(["*", "/", "//", "%"], () => this.binary(["**"], () => this.unary(true)));
  }

  private unary(filters: boolean): Expression {
    const { line } = this.current;
    let value: Expression;
    if (this.isOperator("-", "+")) {
      const kind = this.next().value === "-" ? "negative" : "positive";
      if (++this.depth > MAX_DEPTH) throw this.fail(`expressions are nested deeper than ${MAX_DEPTH}`);
      value = { kind, operand: this.unary(false), line };
      this.depth--;
    } else value = this.primary();
    value = this.postfix(value);
    return filters ? this.filtersAndTests(value) : value;
  }

  private primary(): Expression {
    const { kind, value, line } = this.next();
    if (kind === "name") {
      const constant = CONSTANTS.get(value);
      return constant === undefined ? { kind: "name", name: value, line } : { kind: "constant", value: constant, line };
    }
    if (kind === "string") {
      let text = value;
      while (this.is("string")) text += this.next().value;
      return { kind: "constant", value: text, line };
    }
    if (kind === "integer" && value.length > MAX_DIGITS)
      throw this.fail(`an int has more than ${MAX_DIGITS} digits`, line);
    if (kind === "integer") return { kind: "constant", value: BigInt(value), line };
    if (kind === "float") return { kind: "constant", value: Number(value), line };
    if (kind === "operator" && value === "(") {
      const inner = this.tuple({}, true);
      this.expect("operator", ")");
      return inner;
    }
    if (kind === "operator" && value === "[") {
      return { kind: "list", items: this.separated("]", () => this.expression()), line };
    }
    if (kind === "operator" && value === "{") {
      const entries = this.separated("}", () => {
        const key = this.expression();
        this.expect("operator", ":");
        return [key, this.expression()] as const;
      });
      return { kind: "dict", entries, line };
    }
    if (kind !== "eof") this.at--;
    throw this.unexpected("an expression");
  }

  /** Items with commas between them, and perhaps one behind, up to a closing bracket. */
  private separated<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.isOperator(close)) {
      if (items.length > 0) this.expect("operator", ",");
      if (this.isOperator(close)) break;
      items.push(item());
    }
    this.expect("operator", close);
    return items;
  }

  private postfix(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.isOperator(".", "[")) value = this.subscript(value);
      else if (this.isOperator("(")) value = { kind: "call", callee: value, given: this.given(), line: value.line };
      else return value;
    }
  }

  private filtersAndTests(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.isOperator("|")) value = this.filters(value);
      else if (this.is("name", "is")) value = this.test(value);
      else if (this.isOperator("(")) value = { kind: "call", callee: value, given: this.given(), line: value.line };
      else return value;
    }
  }

  private subscript(object: Expression): Expression {
    const { line } = this.current;
    if (this.next().value === ".") {
      if (this.is("name")) return { kind: "attribute", object, name: this.next().value, line };
      const key: Expression = { kind: "constant", value: BigInt(this.expect("integer").value), line };
      return { kind: "item", object, key, line };
    }
    const keys = this.separated("]", () => this.key());
    if (keys.length === 1) return { kind: "item", object, key: keys[0]!, line };
    if (keys.length === 0) throw this.unexpected("a key");
    throw this.fail("several keys in one subscript are not supported", line);
  }

  private key(): Expression | SliceKey {
    const bound = (): Expression | undefined => (this.isOperator(":", "]", ",") ? undefined : this.expression());
    const start = bound();
    if (!this.skipIf("operator", ":")) {
      if (start === undefined) throw this.unexpected("a key");
      return start;
    }
    const stop = bound();
    const step = this.skipIf("operator", ":") ? bound() : undefined;
    return { kind: "slice", start, stop, step };
  }

  protected given(): CallArguments {
    const { line } = this.expect("operator", "(");
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let dict: Expression | undefined;
    this.separated(")", () => {
      if (dict !== undefined) throw this.fail("nothing may follow ** in a call", line);
      if (this.skipIf("operator", "**")) dict = this.expression();
      else if (this.skipIf("operator", "*")) {
        if (list !== undefined) throw this.fail("a call has one * at most", line);
        list = this.expression();
      } else if (
        this.is("name") &&
        this.tokens[this.at + 1]?.kind === "operator" &&
        this.tokens[this.at + 1]?.value === "="
      ) {
        const name = this.next().value;
        this.next();
        named.push([name, this.expression()]);
      } else {
        if (list !== undefined || named.length > 0) {
          throw this.fail("an argument without a name follows one with a name", line);
        }
        positional.push(this.expression());
      }
    });
    return { positional, named, ...(list === undefined ? {} : { list }), ...(dict === undefined ? {} : { dict }) };
  }

  /** @param inline the first filter's name stands here, without a bar */
  protected filters(operand: Expression | undefined, inline = false): Expression {
    let value = operand;
    let bar = !inline;
    while (this.isOperator("|") || !bar) {
      if (bar) this.next();
      bar = true;
      const { value: name, line } = this.expect("name");
      value = { kind: "filter", operand: value, name, given: this.isOperator("(") ? this.given() : NONE, line };
    }
    return value!;
  }

  private test(operand: Expression): Expression {
    const { line } = this.next();
    const negative = this.skipIf("name", "not");
    const { value: name } = this.expect("name");
    let given = NONE;
    const { kind, value } = this.current;
    const literal = kind === "string" || kind === "integer" || kind === "float" || this.isOperator("[", "{");
    if (this.isOperator("(")) given = this.given();
    else if (literal || (kind === "name" && !["else", "or", "and"].includes(value))) {
      if (value === "is" && kind === "name") throw this.fail("tests cannot be chained with is");
      given = { positional: [this.postfix(this.primary())], named: [] };
    }
    const test: Expression = { kind: "test", operand, name, given, line };
    return negative ? { kind: "not", operand: test, line } : test;
  }
}
