/** Parses a template's statements. */
import { ExpressionParser } from "./expressions.js";
import { tokenize } from "./lexer.js";
import { checkNames } from "./names.js";
import type { Body, Expression, Parameter, Statement, Target } from "./nodes.js";

/** Statements that Jinja has and chat templates do not use, or that would read other files. */
const UNSUPPORTED = ["block", "extends", "include", "import", "from", "print", "autoescape", "do", "trans", "debug"];
const MAX_NESTING = 100;

class Parser extends ExpressionParser {
  private nesting = 0;

  template(): Body {
    const body = this.body([]);
    if (!this.is("eof")) throw this.unexpected("text");
    return body;
  }

  /** Statements up to one of the words in `ends`, which is the current token then. */
  private body(ends: readonly string[]): Body {
    if (++this.nesting > MAX_NESTING) throw this.fail(`blocks are nested deeper than ${MAX_NESTING}`);
    const statements: Statement[] = [];
    for (;;) {
      const { kind, value, line } = this.current;
      if (kind === "text") statements.push({ kind: "text", text: this.next().value, line });
      else if (kind === "begin" && value === "{{") {
        this.next();
        statements.push({ kind: "output", value: this.tuple(), line });
        this.expect("end", "}}");
      } else if (kind === "begin") {
        this.next();
        if (ends.length > 0 && this.is("name", ...ends)) break;
        statements.push(this.statement());
      } else if (ends.length === 0) break;
      else throw this.unexpected(ends.join(" or "));
    }
    this.nesting--;
    return statements;
  }

  /** The body of a block whose head has been read, its end included. */
  private block(end: string): Body {
    this.expect("end", "%}");
    const body = this.body([end]);
    this.next();
    this.expect("end", "%}");
    return body;
  }

  private statement(): Statement {
    const { value: name, line } = this.expect("name");
    switch (name) {
      case "if":
        return this.ifStatement(line);
      case "for":
        return this.forStatement(line);
      case "set":
        return this.setStatement(line);
      case "macro": {
        const { value } = this.expect("name");
        return { kind: "macro", name: value, parameters: this.parameters(), body: this.block("endmacro"), line };
      }
      case "call": {
        const parameters = this.isOperator("(") ? this.parameters() : [];
        const call = this.expression();
        if (call.kind !== "call") throw this.fail("expected a call", line);
        return { kind: "call-block", call, parameters, body: this.block("endcall"), line };
      }
      case "filter":
        return { kind: "filter-block", filter: this.filters(undefined, true), body: this.block("endfilter"), line };
      case "with":
        return this.withStatement(line);
      case "generation":
        return { kind: "generation", body: this.block("endgeneration"), line };
      case "break":
      case "continue":
        this.expect("end", "%}");
        return { kind: name, line };
      default:
        if (UNSUPPORTED.includes(name)) throw this.fail(`the statement ${name} is not supported`, line);
        throw this.fail(`there is no statement ${name} here`, line);
    }
  }

  private ifStatement(line: number): Statement {
    const branches: { test: Expression; body: Body }[] = [];
    let otherwise: Body = [];
    let word = "if";
    while (word !== "endif") {
      const test = word === "else" ? undefined : this.tuple({ conditions: false });
      this.expect("end", "%}");
      const body = this.body(word === "else" ? ["endif"] : ["elif", "else", "endif"]);
      word = this.next().value;
      if (test === undefined) otherwise = body;
      else branches.push({ test, body });
    }
    this.expect("end", "%}");
    return { kind: "if", branches, otherwise, line };
  }

  private forStatement(line: number): Statement {
    const target = this.target(["in"]);
    this.expect("name", "in");
    const items = this.tuple({ conditions: false, ends: ["recursive"] });
    const filter = this.skipIf("name", "if") ? this.expression() : undefined;
    const recursive = this.skipIf("name", "recursive");
    this.expect("end", "%}");
    const body = this.body(["endfor", "else"]);
    const otherwise = this.next().value === "else" ? this.block("endfor") : undefined;
    if (otherwise === undefined) this.expect("end", "%}");
    return { kind: "for", target, items, filter, recursive, body, otherwise: otherwise ?? [], line };
  }

  private setStatement(line: number): Statement {
    const target = this.target([]);
    if (this.skipIf("operator", "=")) {
      const value = this.tuple();
      this.expect("end", "%}");
      return { kind: "set", target, value, line };
    }
    const filter = this.isOperator("|") ? this.filters(undefined) : undefined;
    return { kind: "set-block", target, filter, body: this.block("endset"), line };
  }

  private withStatement(line: number): Statement {
    const values: [Target, Expression][] = [];
    while (!this.is("end")) {
      if (values.length > 0) this.expect("operator", ",");
      const target = this.target([]);
      this.expect("operator", "=");
      values.push([target, this.expression()]);
    }
    return { kind: "with", values, body: this.block("endwith"), line };
  }

  /** Names with commas between them, and in parentheses perhaps. */
  private target(ends: readonly string[]): Target {
    const items: Target[] = [];
    let several = false;
    while (!this.is("end") && !this.isOperator("=", ")") && !(ends.length > 0 && this.is("name", ...ends))) {
      items.push(this.singleTarget());
      if (!this.skipIf("operator", ",")) break;
      several = true;
    }
    if (items.length === 0) throw this.unexpected("a name");
    return several ? { kind: "tuple", items } : items[0]!;
  }

  private singleTarget(): Target {
    if (this.skipIf("operator", "(")) {
      const inner = this.target([]);
      this.expect("operator", ")");
      return inner;
    }
    const { value: name, line } = this.expect("name");
    if (["true", "false", "none", "True", "False", "None"].includes(name)) {
      throw this.fail(`${name} cannot be assigned to`, line);
    }
    if (!this.skipIf("operator", ".")) return { kind: "name", name };
    return { kind: "field", object: name, name: this.expect("name").value };
  }

  private parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    const { line } = this.expect("operator", "(");
    while (!this.isOperator(")")) {
      if (parameters.length > 0) this.expect("operator", ",");
      const { value: name } = this.expect("name");
      const preset = this.skipIf("operator", "=") ? this.expression() : undefined;
      if (preset === undefined && parameters.at(-1)?.preset !== undefined) {
        throw this.fail(`${name} has no default and follows a parameter with one`, line);
      }
      parameters.push({ name, preset });
    }
    this.next();
    return parameters;
  }
}

/** @throws {TemplateError} naming the line where the text is no template, or has something that is not supported */
export function parse(source: string): Body {
  const body = new Parser(tokenize(source)).template();
  checkNames(body);
  return body;
}
