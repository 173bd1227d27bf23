import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { createProgress } from "../../../shared/base/progress.js";

/** A stream that records its output; optionally a terminal of 80 columns. */
function sink(isTTY = false) {
  // Not a PassThrough and `read()`, which gives all that is buffered up to Node 24 and one chunk of it in Node 26.
  let written = "";
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 80 }), text: () => written };
}

test("in a log, a stage has a line per interval and one at its end", () => {
  const { stream, text } = sink();
  let now = 0;
  const progress = createProgress({ stream, intervalMs: 1000, clock: () => now });
  const stage = progress.stage("train", 40);
  for (let step = 0; step < 40; step++) {
    now += 100;
    stage.tick(1, { loss: 1 / 3 });
  }
  stage.done();
  stage.done();
  stage.tick();
  assert.deepEqual(text().trimEnd().split("\n"), [
    "train: 10/40 loss=0.3333",
    "train: 20/40 loss=0.3333",
    "train: 30/40 loss=0.3333",
    "train: 40/40 loss=0.3333",
    "train: 40/40 loss=0.3333 (4s)",
  ]);
});

test("an unknown total is left out, and open stages end when the progress is closed", () => {
  const { stream, text } = sink();
  const progress = createProgress({ stream, clock: () => 0 });
  const stage = progress.stage("clients", 0);
  stage.tick(3);
  progress.close();
  stage.done();
  assert.equal(text(), "clients: 3 (0s)\n");
});

test("a terminal shows bars and a line per finished stage, and its cursor is restored", () => {
  const { stream, text } = sink(true);
  const progress = createProgress({ stream, terminal: true });
  const first = progress.stage("sketch", 4);
  const second = progress.stage("train", 4);
  first.tick(2);
  second.tick(4);
  second.done({ loss: 2 });
  first.done();
  progress.close();
  const output = text();
  assert.match(output, /sketch \[[=-]+\] 2\/4/);
  assert.match(output, /train: 4\/4 loss=2 \(0s\)\n/);
  assert.match(output, /sketch: 2\/4 \(0s\)\n/);
  assert(output.lastIndexOf("\u001b[?25h") > output.lastIndexOf("\u001b[?25l"));
});

test("with quiet, nothing is written", () => {
  const { stream, text } = sink(true);
  const progress = createProgress({ stream, quiet: true });
  progress.stage("a", 1).done();
  progress.close();
  assert.equal(text(), "");
});
