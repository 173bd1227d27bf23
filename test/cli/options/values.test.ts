import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import {
  address,
  choiceMap,
  collected,
  gathered,
  integer,
  integers,
  number,
  path,
  positives,
  share,
  size,
} from "../../../cli/options/values.js";
import { KindredError } from "../../../shared/base/errors.js";

const refused = (parse: (text: string) => unknown, ...texts: string[]): void => {
  for (const text of texts) assert.throws(() => parse(text), InvalidArgumentError, JSON.stringify(text));
};

test("an address is a host and a port", () => {
  for (const text of ["127.0.0.1:7461", "[::1]:0", "hub.example:65535"]) assert.equal(address(text), text);
  refused(address, "7461", "localhost", ":7461", "::1:7461", "http://hub.example:7461", "hub.example:65536");
});

test("whole numbers are read as they are written, from the least on", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(100), (value, min) => {
      if (value >= min) assert.equal(integer(min)(String(value)), value);
      else assert.throws(() => integer(min)(String(value)), InvalidArgumentError);
    }),
  );
  refused(path, "", " ");
  assert.equal(path(" a b"), " a b");
  refused(integer(0), "", " ", "-1", "1.5", "1e3", "0x10", "12a", "9007199254740993");
});

test("a list of whole numbers has a number in each place", () => {
  assert.deepEqual(integers(1)("1,2, 8"), [1, 2, 8]);
  refused(integers(1), "", "1,,2", "0", "1,2.5", "1;2");
});

test("a number is within its bounds, both included", () => {
  assert.equal(number(0)("0"), 0);
  assert.equal(number(0)("1e300"), 1e300);
  assert.equal(number(1, 2)("2"), 2);
  refused(number(0), "-0.1", "", " ", "NaN", "Infinity", "x");
  refused(number(1, 2), "0.99", "2.01");
  assert.throws(() => number(0)("-1"), /at least 0\.$/);
  assert.throws(() => number(0, 1)("-1"), /from 0 to 1\.$/);
});

test("a share is above 0 and at most 1", () => {
  assert.equal(share("1"), 1);
  assert.equal(share("0.25"), 0.25);
  refused(share, "0", "1.01", "-1", "", "x");
});

test("a path of penalties has only numbers above 0", () => {
  assert.deepEqual(positives("3e-3,3e-4"), [3e-3, 3e-4]);
  refused(positives, "", "0", "1,-1", "1,Infinity", "1,,2");
});

test("an option that is given several times gathers its values in order", () => {
  assert.deepEqual(gathered("c", gathered("a, b")), [["a", "b"], ["c"]]);
  assert.deepEqual(collected("b", collected("a")), ["a", "b"]);
});

test("a size names its option where it is no size", () => {
  assert.equal(size("--memory")("2GiB"), 2 ** 31);
  assert.throws(
    () => size("--memory")("2 tons"),
    (error) => error instanceof KindredError && /^--memory is "2 tons"/.test(error.message),
  );
});

test("completions of labels are an object of texts", () => {
  assert.deepEqual(choiceMap('{"0": " no", "1": " yes"}'), { 0: " no", 1: " yes" });
  refused(choiceMap, "yes", "[]", "null", '{"0": 1}', '"a"');
});

test("a map of choices gives each label one completion", () => {
  assert.deepEqual(choiceMap('{"0": " no", "1": " yes"}'), { 0: " no", 1: " yes" });
  assert.throws(() => choiceMap('{"0": " no", "0": " yes"}'), { message: 'It gives "0" two completions; keep one.' });
  for (const text of ["[1]", '{"0": 1}', '{"0": 1.0}', "{0: a}", "null"]) {
    assert.throws(() => choiceMap(text), { message: /must be a JSON object like/ });
  }
});
