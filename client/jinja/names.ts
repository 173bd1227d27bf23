/**
 * Filters and tests that are not supported are refused when a template is read. Where Jinja lets unknown ones be, in what an `if` or
 * a condition may leave out, they are refused when they are reached: templates ask for functions there that only some programs have.
 */
import { TemplateError } from "./errors.js";
import { isSupportedFilter } from "./filters.js";
import type { Body } from "./nodes.js";
import { isSupportedTest } from "./tests.js";

/** Statements whose parts are conditional. */
const CONDITIONAL = ["if", "condition"];
/** Statements that Jinja compiles as blocks of their own, and checks in any case. */
const CHECKED = ["for", "set-block", "with", "macro", "call-block", "filter-block", "generation"];
/** Parts of these that it evaluates outside the block. */
const OUTSIDE = ["items", "values", "call"];

function check(part: unknown, conditional: boolean): void {
  if (typeof part !== "object" || part === null) return;
  if (!("kind" in part && "line" in part)) {
    for (const inner of Object.values(part)) check(inner, conditional);
    return;
  }
  const { kind, line } = part as { kind: string; line: number };
  if ((kind === "filter" || kind === "test") && !conditional && "name" in part) {
    const supported = kind === "filter" ? isSupportedFilter : isSupportedTest;
    if (!supported(part.name as string)) throw new TemplateError(`the ${kind} ${part.name} is not supported`, line);
  }
  const inside = conditional || CONDITIONAL.includes(kind);
  for (const [name, inner] of Object.entries(part)) {
    check(inner, inside && !(CHECKED.includes(kind) && !OUTSIDE.includes(name)));
  }
}

/** @throws {TemplateError} naming the line of a filter or test that is not supported */
export function checkNames(body: Body): void {
  check(body, false);
}
