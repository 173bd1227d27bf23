/** Jinja's tests: what may follow `is`. */
import { bind } from "./arguments.js";
import { ValueError } from "./errors.js";
import { binary, compares } from "./operators.js";
import { hasCase } from "./text.js";
import {
  type Arguments,
  Callable,
  Generator,
  isList,
  isNumeric,
  Markup,
  Range,
  Tuple,
  toText,
  Undefined,
  type Value,
  View,
} from "./values.js";

type Test = (value: Value, given: Arguments, name: string) => boolean;

const plain =
  (holds: (value: Value) => boolean): Test =>
  (value, given, name) => {
    bind(`the test ${name}`, given, []);
    return holds(value);
  };

const compared =
  (operator: string): Test =>
  (value, given, name) =>
    compares(operator, value, bind(`the test ${name}`, given, [["other"]])[0]!);

const isText = (value: Value): boolean => typeof value === "string" || value instanceof Markup;
const isSequence = (value: Value): boolean =>
  isText(value) || isList(value) || [Map, Tuple, Range, Undefined].some((kind) => value instanceof kind);

const remainder = (value: Value, by: Value): Value => {
  if (value instanceof Undefined) value.fail();
  if (!isNumeric(value)) throw new ValueError("only a number is odd, even or divisible");
  return binary("%", value, by);
};

const [equal, unequal, less, lessOrEqual, greater, greaterOrEqual] = ["==", "!=", "<", "<=", ">", ">="].map(
  compared,
) as [Test, Test, Test, Test, Test, Test];

const TESTS: Readonly<Record<string, Test>> = {
  defined: plain((value) => !(value instanceof Undefined)),
  undefined: plain((value) => value instanceof Undefined),
  none: plain((value) => value === null),
  boolean: plain((value) => typeof value === "boolean"),
  true: plain((value) => value === true),
  false: plain((value) => value === false),
  integer: plain((value) => typeof value === "bigint"),
  float: plain((value) => typeof value === "number"),
  number: plain(isNumeric),
  string: plain(isText),
  mapping: plain((value) => value instanceof Map),
  sequence: plain(isSequence),
  iterable: plain((value) => isSequence(value) || value instanceof View || value instanceof Generator),
  callable: plain((value) => value instanceof Callable || value instanceof Undefined),
  lower: plain((value) => hasCase(toText(value), "lower")),
  upper: plain((value) => hasCase(toText(value), "upper")),
  odd: plain((value) => compares("==", remainder(value, 2n), 1n)),
  even: plain((value) => compares("==", remainder(value, 2n), 0n)),
  divisibleby: (value, given, name) =>
    compares("==", remainder(value, bind(`the test ${name}`, given, [["num"]])[0]!), 0n),
  sameas: (value, given, name) => value === bind(`the test ${name}`, given, [["other"]])[0],
  in: (value, given, name) => compares("in", value, bind(`the test ${name}`, given, [["seq"]])[0]!),
  eq: equal,
  equalto: equal,
  "==": equal,
  ne: unequal,
  "!=": unequal,
  lt: less,
  lessthan: less,
  "<": less,
  le: lessOrEqual,
  "<=": lessOrEqual,
  gt: greater,
  greaterthan: greater,
  ">": greater,
  ge: greaterOrEqual,
  ">=": greaterOrEqual,
};

export function isSupportedTest(name: string): boolean {
  return Object.hasOwn(TESTS, name);
}

/** @throws {ValueError} for a test that is not known, and where Python raises an error */
export function passes(name: string, value: Value, given: Arguments): boolean {
  if (!isSupportedTest(name)) throw new ValueError(`the test ${name} is not supported`);
  return TESTS[name]!(value, given, name);
}
