/** The parts of a template, as the parser makes them and the renderer reads them. */
import type { Value } from "./values.js";

export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** `*list` */
  readonly list?: Expression;
  /** `**dict` */
  readonly dict?: Expression;
}

export interface SliceKey {
  readonly kind: "slice";
  readonly start: Expression | undefined;
  readonly stop: Expression | undefined;
  readonly step: Expression | undefined;
}

export type Expression = { readonly line: number } & (
  | { readonly kind: "constant"; readonly value: Value }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly kind: "item"; readonly object: Expression; readonly key: Expression | SliceKey }
  | { readonly kind: "call"; readonly callee: Expression; readonly given: CallArguments }
  | Filter
  | { readonly kind: "test"; readonly operand: Expression; readonly name: string; readonly given: CallArguments }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: "not" | "negative" | "positive"; readonly operand: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "concatenation"; readonly parts: readonly Expression[] }
  | {
      readonly kind: "comparison";
      readonly first: Expression;
      readonly rest: readonly (readonly [operator: string, Expression])[];
    }
  | {
      readonly kind: "condition";
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    }
);

export interface Filter {
  readonly kind: "filter";
  /** Undefined for the text of a block. */
  readonly operand: Expression | undefined;
  readonly name: string;
  readonly given: CallArguments;
}

/** What a value is assigned to: a name, several, or a namespace's field. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "field"; readonly object: string; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly preset: Expression | undefined;
}

export type Statement = { readonly line: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly value: Expression }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly test: Expression; readonly body: Body }[];
      readonly otherwise: Body;
    }
  | ForLoop
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "set-block";
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: Body;
    }
  | { readonly kind: "macro"; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body }
  | {
      readonly kind: "call-block";
      readonly call: Extract<Expression, { kind: "call" }>;
      readonly parameters: readonly Parameter[];
      readonly body: Body;
    }
  | { readonly kind: "filter-block"; readonly filter: Expression; readonly body: Body }
  | {
      readonly kind: "with";
      readonly values: readonly (readonly [Target, Expression])[];
      readonly body: Body;
    }
  | { readonly kind: "generation"; readonly body: Body }
  | { readonly kind: "break" | "continue" }
);

export interface ForLoop {
  readonly kind: "for";
  readonly target: Target;
  readonly items: Expression;
  readonly filter: Expression | undefined;
  readonly recursive: boolean;
  readonly body: Body;
  readonly otherwise: Body;
}

export type Body = readonly Statement[];

/** Whether a name is read anywhere in a part of a template. */
export function readsName(part: unknown, name: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  if ("kind" in part && part.kind === "name" && "name" in part && part.name === name) return true;
  return Object.values(part).some((inner) => readsName(inner, name));
}
