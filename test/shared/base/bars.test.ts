/** Bars on a terminal that is emulated here as far as cli-progress uses one, with time that passes only when the test lets it. */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { mock, type TestContext, test } from "node:test";
import { barLine, createBars } from "../../../shared/base/bars.js";
import { columnsOf } from "../../../shared/base/terminal.js";

const ESCAPE = String.fromCharCode(27);

/** A terminal of so many columns, whose lines wrap; reflows what it shows when its width changes, as most do. */
class Screen extends Writable {
  readonly isTTY = true;
  /** Each line of text, however many rows it takes; whether it is a continuation of the line before. */
  private lines: string[] = [""];
  private row = 0;
  private column = 0;
  cursor = true;
  widest = 0;

  constructor(public columns: number) {
    super({ decodeStrings: false });
  }

  resize(columns: number): void {
    const at = this.row;
    const reflowed: string[] = [];
    this.lines.forEach((line, row) => {
      const text = line.trimEnd();
      for (let from = 0; from === 0 || from < text.length; from += columns)
        reflowed.push(text.slice(from, from + columns));
      if (row === at) this.row = reflowed.length - 1;
    });
    this.lines = reflowed;
    this.columns = columns;
    this.emit("resize");
  }

  text(): string[] {
    return this.lines
      .map((line) => line.trimEnd())
      .join("\n")
      .trimEnd()
      .split("\n");
  }

  override _write(chunk: string, _encoding: BufferEncoding, done: () => void): void {
    const sequence = new RegExp(`${ESCAPE}\\[(\\??)(\\d*)(?:;\\d*)?([A-Za-z])`, "y");
    for (let at = 0; at < chunk.length; ) {
      sequence.lastIndex = at;
      const found = sequence.exec(chunk);
      if (found) {
        this.control(found[1] + (found[3] as string), found[2] ?? "");
        at += found[0].length;
      } else this.put(chunk[at++] as string);
    }
    done();
  }

  private control(what: string, digits: string): void {
    const line = this.lines[this.row] as string;
    const n = Number(digits || 1);
    if (what === "A") this.row = Math.max(0, this.row - n);
    else if (what === "G") this.column = n - 1;
    else if (what === "K") this.lines[this.row] = digits === "2" ? "" : line.slice(0, this.column);
    else if (what === "J") {
      this.lines[this.row] = line.slice(0, this.column);
      this.lines.length = this.row + 1;
    } else if (what === "?h" || what === "?l") this.cursor = what === "?h";
    else throw new Error(`the screen does not know ${what}`);
  }

  private put(character: string): void {
    if (character === "\n") {
      this.row++;
      this.column = 0;
      this.lines[this.row] ??= "";
      return;
    }
    if (this.column >= this.columns) throw new Error(`a line is wider than ${this.columns} columns`);
    const line = (this.lines[this.row] as string).padEnd(this.column);
    this.lines[this.row] = line.slice(0, this.column) + character + line.slice(this.column + 1);
    this.column++;
    this.widest = Math.max(this.widest, this.column);
  }
}

function open(t: TestContext, columns: number) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const screen = new Screen(columns);
  const bars = createBars({ stream: screen });
  return { screen, bars, pass: (ms: number) => mock.timers.tick(ms) };
}

const percentOf = (line: string): number => Number(/(\d+) %/.exec(line)?.[1]);

for (const columns of [40, 60, 80, 120])
  test(`in ${columns} columns a bar grows from 0 to 100 %, with the time left where there is room, and within the width`, (t) => {
    const { screen, bars, pass } = open(t, columns);
    const stage = bars.stage("train shared", 32);
    const seen: number[] = [];
    let timed = 0;
    for (let round = 1; round <= 32; round++) {
      stage.tick(0, { round: `${round}/32` });
      for (let part = 0; part < 4; part++) {
        pass(500);
        stage.tick(0.25, { round: `${round}/32`, loss: 2.5 / round });
        pass(250);
        const [line] = screen.text() as [string];
        seen.push(percentOf(line));
        if (/about \d+ (s|min) left/.test(line)) timed++;
        assert(columnsOf(line) < columns);
        // Bar and percents say the same.
        const [full, size] = [line.match(/█/g)?.length ?? 0, line.match(/[█░]/g)?.length ?? 0];
        assert.equal(size > 0, columns > 40);
        assert(size === 0 || Math.abs(full / size - (seen.at(-1) as number) / 100) <= 1 / size, line);
      }
    }
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    assert((seen[0] as number) <= 1 && seen.at(-1) === 99, "all is done only at the end");
    assert(timed > 100, `${timed}`);
    stage.done();
    bars.close();
    assert.equal(screen.text().length, 1);
    assert.match(screen.text()[0] as string, /^train shared .*100 % {2}/);
    assert.equal(screen.cursor, true);
  });

test("a stage that ends before its last unit ends at 100 %; one whose job stops says so and where", (t) => {
  const { screen, bars } = open(t, 80);
  const boost = bars.stage("boost", 3);
  boost.tick(1.8);
  const train = bars.stage("train shared", 4);
  train.tick(2, { round: "3/4" });
  boost.done();
  bars.close();
  assert.deepEqual(screen.text(), [
    "boost                100 %  0 s",
    "train shared          50 %  round 3/4, stopped",
  ]);
});

test("lines of the log stand above the bars, whole, and leave nothing of what was there", (t) => {
  const { screen, bars, pass } = open(t, 50);
  const stages = ["one", "two", "three"].map((name) => bars.stage(name, 4));
  for (const stage of stages) stage.tick(1, { clients: "1/4" });
  pass(300);
  const long = "a client is left out: client harbour, because it sent values that are not finite";
  bars.print(long);
  bars.print("short");
  pass(300);
  assert.deepEqual(
    screen.text().map((line) => line.replace(/ {2,}.*/, "")),
    [
      "a client is left out: client harbour, because it",
      "sent values that are not finite",
      "short",
      "one",
      "two",
      "three",
    ],
  );
  stages[1]?.drop();
  pass(300);
  assert.deepEqual(
    screen
      .text()
      .slice(3)
      .map((line) => line.replace(/ {2,}.*/, "")),
    ["one", "three"],
  );
  bars.close();
  bars.print("afterwards");
  assert.equal(screen.text().at(-1), "afterwards");
});

test("a terminal that becomes narrower, and wider again, shows each bar once", (t) => {
  const { screen, bars, pass } = open(t, 120);
  bars.print("before");
  const stage = bars.stage("train shared", 32);
  bars.stage("fetch model.safetensors", 1e9).tick(5e8);
  stage.tick(16, { round: "17/32", loss: 0.81 });
  pass(300);
  for (const columns of [60, 41, 80]) {
    screen.resize(columns);
    pass(300);
    assert.deepEqual(
      screen.text().map((line) => line.replace(/ .*/, "")),
      ["before", "train", "fetch"],
      `${columns} columns`,
    );
  }
  bars.close();
});

test("a stage whose total is unknown has no bar and no percents, and its clock runs", (t) => {
  const { screen, bars, pass } = open(t, 80);
  const stage = bars.stage("search groups", 0);
  stage.tick(1_418, { groupings: 1_418 });
  pass(34_000);
  assert.deepEqual(screen.text(), ["search groups         groupings 1418, 34 s so far"]);
  stage.done({ groups: 4 });
  bars.close();
  assert.deepEqual(screen.text(), ["search groups               groups 4, 34 s"]);
});

test("a stage that goes on where another process stopped starts there", (t) => {
  const { screen, bars, pass } = open(t, 80);
  bars.stage("train shared", 32, { from: 24 }).tick(0);
  pass(5_000);
  assert.equal(percentOf(screen.text()[0] as string), 75);
  assert.doesNotMatch(screen.text()[0] as string, /left/);
  bars.close();
});

test("facts give way before the time does, names are cut last, and wide characters count twice", () => {
  const facts = ["round 5/32", "loss 0.81", "waiting for harbour and meadow", "about 40 s left"];
  assert.match(barLine("train shared", 0.14, facts, 60), / 14 % {2}round 5\/32, about 40 s left$/);
  assert.match(barLine("train shared", 0.14, facts, 160), /waiting for harbour and meadow, about 40 s left$/);
  for (const name of ["train", "学習率".repeat(12), "x".repeat(300)])
    for (let columns = 21; columns <= 200; columns++) {
      assert(columnsOf(barLine(name, 0.5, facts, columns)) < columns, `${name} in ${columns}`);
    }
});
