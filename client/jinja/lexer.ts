/**
 * A template's text as tokens: Jinja's notation as transformers configures it. The first newline after a block is dropped
 * (`trim_blocks`), and so is white space before a block at the start of a line (`lstrip_blocks`).
 */
import { TemplateError } from "./errors.js";
import { isSpace, stripEnd } from "./text.js";

export type TokenKind = "text" | "begin" | "end" | "name" | "string" | "integer" | "float" | "operator" | "eof";

export interface Token {
  readonly kind: TokenKind;
  /** Text of a literal or name; the operator; of `begin` and `end`: `{{`, `}}`, `{%` or `%}`. */
  readonly value: string;
  readonly line: number;
}

const OPERATORS = [
  ...["//", "**", "==", "!=", ">=", "<="],
  ...["+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","],
];
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'([^'\\]*(?:\\.[^'\\]*)*)'|"([^"\\]*(?:\\.[^"\\]*)*)"/sy;
const ENDRAW = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
const RAW = /\s*raw\s*(-?)%\}/y;

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" },
  ...{ "\\": "\\", "'": "'", '"': '"', "\n": "" },
};

/** A string literal's text, with the escapes of Python's literals. An unknown escape stays as it is. */
function unescaped(text: string, line: number): string {
  const sequence = /\\(?:(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;
  return text.replace(sequence, (all: string, hex?: string, octal?: string, other = "") => {
    const code = hex === undefined ? Number.parseInt(octal ?? "0", 8) : Number.parseInt(hex.slice(1), 16);
    if ((hex === undefined && "xuUN".includes(other) && other !== "") || code > 0x10ffff) {
      throw new TemplateError(`${all} is no character's escape`, line);
    }
    return other === "" ? String.fromCodePoint(code) : (ESCAPES[other] ?? all);
  });
}

class Lexer {
  readonly tokens: Token[] = [];
  private at = 0;
  private line = 1;
  /** Whether what was read last ends with a newline, so that white space before a block stands at the start of a line. */
  private lineStarts = true;

  constructor(private readonly source: string) {}

  run(): Token[] {
    while (this.at < this.source.length) this.section();
    this.push("eof", "");
    return this.tokens;
  }

  private push(kind: TokenKind, value: string): void {
    this.tokens.push({ kind, value, line: this.line });
  }

  /** Goes on to `end`. */
  private skip(end: number): void {
    for (let index = this.at; index < end; index++) if (this.source[index] === "\n") this.line++;
    if (end > this.at) this.lineStarts = this.source[end - 1] === "\n";
    this.at = end;
  }

  /** Text up to the next tag, and what the tag holds. */
  private section(): void {
    const { source } = this;
    const open = /\{[%{#]/g;
    open.lastIndex = this.at;
    const start = open.exec(source)?.index ?? source.length;
    const tag = source.slice(start, start + 2);
    const sign = source[start + 2] ?? "";
    const text = this.before(source.slice(this.at, start), tag, sign);
    if (text !== "") this.push("text", text);
    this.skip(start);
    if (tag === "") return;
    const signed = sign === "-" || sign === "+";
    this.skip(start + (signed ? 3 : 2));
    const raw = tag === "{%" ? this.match(RAW) : undefined;
    if (tag === "{#") this.comment();
    else if (raw !== undefined) this.raw(raw[0].length, raw[1] === "-");
    else {
      this.push("begin", tag);
      this.expression(tag === "{{" ? "}}" : "%}");
    }
  }

  /** Text before a tag, without the white space that the tag removes. */
  private before(text: string, tag: string, sign: string): string {
    if (sign === "-" && tag !== "") return stripEnd(text);
    if (sign === "+" || tag === "{{" || tag === "") return text;
    const lineStart = text.lastIndexOf("\n") + 1;
    if (lineStart === 0 && !this.lineStarts) return text;
    return isSpace(text.slice(lineStart)) ? text.slice(0, lineStart) : text;
  }

  /** Goes on behind a tag's end, and behind the white space that the end removes. */
  private close(end: number, minus: boolean, trims: boolean): void {
    let to = end;
    if (minus) while (to < this.source.length && isSpace(this.source[to]!)) to++;
    else if (trims && this.source[to] === "\n") to++;
    this.skip(to);
  }

  private comment(): void {
    const end = this.source.indexOf("#}", this.at);
    if (end < 0) throw new TemplateError("a comment has no end; expected #}", this.line);
    const sign = end > this.at ? this.source[end - 1] : "";
    this.close(end + 2, sign === "-", sign !== "+");
  }

  private raw(head: number, minus: boolean): void {
    this.close(this.at + head, minus, false);
    ENDRAW.lastIndex = this.at;
    const end = ENDRAW.exec(this.source);
    if (end === null) throw new TemplateError("raw has no endraw", this.line);
    const text = this.before(this.source.slice(this.at, end.index), "{%", end[0][2]!);
    if (text !== "") this.push("text", text);
    const sign = end[0].at(-3);
    this.close(end.index + end[0].length, sign === "-", sign !== "+");
  }

  /** Tokens up to the tag's end. Braces of literals do not end it. */
  private expression(end: string): void {
    const { source } = this;
    const open: string[] = [];
    for (;;) {
      while (this.at < source.length && isSpace(source[this.at]!)) this.skip(this.at + 1);
      if (this.at >= source.length) throw new TemplateError(`expected ${end} before the template's end`, this.line);
      const sign = source[this.at];
      const signed = (sign === "-" || (sign === "+" && end === "%}")) && source.startsWith(end, this.at + 1);
      if (open.length === 0 && (signed || source.startsWith(end, this.at))) {
        this.push("end", end);
        this.close(this.at + (signed ? 3 : 2), signed && sign === "-", !signed && end === "%}");
        return;
      }
      this.token(open);
    }
  }

  private token(open: string[]): void {
    const literal = this.literal();
    if (literal !== undefined) {
      this.take(...literal);
      return;
    }
    const operator = OPERATORS.find((one) => this.source.startsWith(one, this.at));
    if (operator === undefined) {
      throw new TemplateError(`unexpected ${JSON.stringify(this.source[this.at])}`, this.line);
    }
    const closing = CLOSING[operator];
    if (closing !== undefined) open.push(closing);
    else if (")]}".includes(operator) && open.pop() !== operator) {
      throw new TemplateError(`unexpected ${JSON.stringify(operator)}`, this.line);
    }
    this.take("operator", operator, operator.length);
  }

  /** A number, a name or a text here: its kind, its value and its length in the source. */
  private literal(): [TokenKind, string, number] | undefined {
    const float = this.source[this.at - 1] === "." ? undefined : this.match(FLOAT);
    if (float !== undefined) return ["float", float[0].replaceAll("_", ""), float[0].length];
    const integer = this.match(INTEGER);
    if (integer !== undefined) return ["integer", integer[0].replaceAll("_", ""), integer[0].length];
    const name = this.match(NAME);
    if (name !== undefined) return ["name", name[0], name[0].length];
    const string = this.match(STRING);
    if (string === undefined) return undefined;
    return ["string", unescaped(string[1] ?? string[2] ?? "", this.line), string[0].length];
  }

  private match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.source) ?? undefined;
  }

  private take(kind: TokenKind, value: string, length: number): void {
    this.push(kind, value);
    this.skip(this.at + length);
  }
}

/** @throws {TemplateError} naming the line where the text is no template */
export function tokenize(source: string): Token[] {
  const text = source.replace(/\r\n?/g, "\n");
  return new Lexer(text.endsWith("\n") ? text.slice(0, -1) : text).run();
}
