/** Templates: what is refused, where, and in which words; what a hostile one cannot do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TemplateError } from "../../../client/jinja/errors.js";
import { dictOf } from "../../../client/jinja/json.js";
import { Template } from "../../../client/jinja/template.js";

const NOW = new Date(2024, 6, 6);

function render(source: string, variables: object = {}): string {
  return new Template(source).render(dictOf(Object.entries(variables)), NOW).text;
}

function refuses(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof TemplateError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

test("a mistake in a template is found when it is read, and names its line", () => {
  for (const [source, message] of [
    ["a\n{{ x | nosuch }}", /^line 2: the filter nosuch is not supported$/],
    ["{{ x is nosuch }}", /^line 1: the test nosuch is not supported$/],
    ["\n\n{% include 'file' %}", /^line 3: the statement include is not supported$/],
    ["{% nosuch %}", /^line 1: there is no statement nosuch here$/],
    ["{% if x %}\n", /^line 1: expected elif or else or endif, got the template's end$/],
    ["{{ x\n}", /^line 2: unexpected "\}"$/],
    ["{{ x y }}", /^line 1: expected \}\}, got "y"$/],
  ] as const) {
    refuses(() => new Template(source), message);
  }
});

test("a mistake that shows when a template renders names its line and what is missing", () => {
  refuses(() => render("a\n{{ x.y }}"), /^line 2: x is undefined$/);
  refuses(() => render("{{ x.y.z }}", { x: { a: 1 } }), /^line 1: a dict has no "y"$/);
  refuses(() => render("{{ 'a' + x }}", { x: 1 }), /^line 1: str \+ int has no meaning$/);
  refuses(
    () => render("{% for m in x %}\n{{ raise_exception('turns ' ~ m) }}{% endfor %}", { x: [1] }),
    /^line 2: turns 1$/,
  );
});

test("an unknown filter that an if leaves out is refused where it is reached", () => {
  const source = "{% if text is string %}\n{{ text | from_json }}{% else %}none{% endif %}";
  assert.equal(render(source, { text: null }), "none");
  refuses(() => render(source, { text: "{}" }), /^line 2: the filter from_json is not supported$/);
});

test("methods that would change a value, and those that are not known here, are refused by name", () => {
  refuses(() => render("{{ x.append(1) }}", { x: [] }), /list\.append is not supported/);
  refuses(() => render("{{ x.encode() }}", { x: "a" }), /str\.encode is not supported/);
  refuses(() => render("{% macro m() %}{% endmacro %}{{ m.name }}"), /function\.name is not supported/);
  refuses(() => render("{{ dict.fromkeys('a') }}"), /function\.fromkeys is not supported/);
  refuses(() => render("{{ (1).real }}"), /int\.real is not supported/);
  refuses(() => render("{{ 1.5['real'] }}"), /float\.real is not supported/);
  refuses(() => render("{{ self.x() }}"), /is not supported|no "x"/);
  refuses(() => render("{{ range(5)[1:] }}"), /a slice of a range is not supported/);
  refuses(() => render("{{ strftime_now('%Q') }}"), /strftime_now does not support %Q/);
});

test("a template that does not end, or that fills the memory, is ended", () => {
  const long = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
  refuses(() => render(long), /takes more than \d+ steps/);
  refuses(() => render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), /nested too deep|steps/);
  refuses(() => render("{{ 'a' * 10 ** 12 }}"), /longer than/);
  refuses(() => render("{{ 10 ** (10 ** 10) }}"), /more than 4300 digits/);
  const doubled = "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  refuses(() => render(doubled), /longer than/);
  refuses(() => render("{% for i in range(9999) %}{{ x }}{% endfor %}", { x: "a".repeat(10_000) }), /longer than/);
  refuses(() => new Template(`{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`), /nested deeper/);
  refuses(() => new Template("{% if x %}".repeat(5000)), /nested deeper/);
});

test("what one step does on long or shared values is counted", () => {
  const long = "{% set x = 'a' * 9000000 %}{% for i in range(100000) %}";
  const shared = (name: string): string =>
    `{% set ${name} = namespace(x=[1]) %}{% for i in range(60) %}{% set ${name}.x = [${name}.x, ${name}.x] %}{% endfor %}`;
  for (const source of [
    `${long}{% set y = x | upper %}{% endfor %}`,
    `${long}{% set y = x[0] %}{% endfor %}`,
    `${long}{% set y = 'b' in x %}{% endfor %}`,
    `${long}{% set y %}{{ x }}{% endset %}{% endfor %}`,
    "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [[0] * 1000000, ns.l] %}{% endfor %}",
    "{{ (['x'] * 1000000) | map('center', 50000000) | map('upper') | list | length }}",
    "{{ range(100000) | unique | list | length }}",
    `${shared("a")}{{ a.x }}`,
    `${shared("a")}{{ a.x | tojson }}`,
    `${shared("a")}${shared("b")}{{ a.x == b.x }}`,
  ]) {
    refuses(() => render(source), /takes more than \d+ steps/);
  }
  refuses(() => render("{{ ('a' * 1000001) | sort }}"), /longer than/);
  refuses(() => render("{{ [1] | batch(10 ** 9, 0) | list }}"), /longer than/);
  assert.equal(render("{{ [] * 10 ** 15 }}{{ () * 10 ** 15 }}|{{ '' * 10 ** 15 }}"), "[]()|");
});

test("a long conversation is far from the bounds", () => {
  const messages = Array.from({ length: 2000 }, (_, at) => ({
    role: at % 2 ? "assistant" : "user",
    content: "a".repeat(5000),
  }));
  const source =
    "{% set ns = namespace(all='') %}{% for m in messages %}{% if messages[loop.index0].content is string and messages | length > 1 %}" +
    "{% set ns.all = ns.all ~ m.role %}{{ m.content | trim }}{{ m.content.split('</think>')[-1] }}{% endif %}{% endfor %}";
  assert.equal(render(source, { messages }).length, 2 * 2000 * 5000);
});

test("ints have at most as many digits as Python writes", () => {
  const most = "9".repeat(4300);
  assert.equal(render(`{{ ${most} }}`), most);
  refuses(() => new Template(`{{ ${most}9 }}`), /more than 4300 digits/);
  refuses(() => render(`{{ ${most} + 1 }}`), /more than 4300 digits/);
  refuses(
    () => render("{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}"),
    /digits/,
  );
  assert.equal(
    render("{{ 1 ** 10 ** 12 }}|{{ (-1) ** 10 ** 12 }}|{{ 0 ** 0 }}|{{ 2 ** 10 }}|{{ (-2) ** 3 }}"),
    "1|1|1|1024|-8",
  );
  assert.equal(render("{{ x | int(7) }}", { x: `${most}9` }), "7");
});

test("expressions of any length end", () => {
  for (const part of ["1 + ", "not ", "- "]) refuses(() => render(`{{ ${part.repeat(100_000)}1 }}`), /nested/);
  for (const part of ["| string", ".a", " if 1"])
    refuses(() => render(`{{ x${part.repeat(100_000)} }}`, { x: {} }), /nested/);
});

test("names of JavaScript's own objects are no names of a template", () => {
  assert.equal(
    render("{{ constructor }}|{{ x.constructor }}|{{ x.__proto__ }}|{{ 'a'.length }}|{{ y.length }}", {
      x: {},
      y: [1],
    }),
    "||||",
  );
  refuses(() => new Template("{{ 1 | constructor }}"), /not supported/);
  refuses(() => new Template("{{ 1 is toString }}"), /not supported/);
});

test("long texts take no time beyond their length", () => {
  refuses(() => render("{{ ('%(' * 1000000) % {} }}"), /is not supported/);
  assert.equal(render("{{ ('1' * 1000000 ~ 'x') | float(2.5) }}"), "2.5");
  const spaces = `${" ".repeat(200_000)}a${" ".repeat(200_000)}`;
  assert.equal(render("{{ (x ~ 'b').strip() | length }}", { x: spaces }), "200002");
  assert.equal(render(`a${" ".repeat(200_000)}{{- 1 }}`), "a1");
});

test("what a template writes is never read as a template", () => {
  assert.equal(render("{{ x }}", { x: "{{ 1 }}{% if %}" }), "{{ 1 }}{% if %}");
});
