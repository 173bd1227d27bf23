/**
 * Progress on a terminal: a bar per open stage at the bottom, a line per stage that ended above, and between them the lines of the log.
 * cli-progress moves the cursor; the text of a bar and the time left are this project's own.
 */
import type { Writable } from "node:stream";
import cliProgress from "cli-progress";
import type { Progress } from "./progress.js";
import { columnsOf, cut, fit, wrapped } from "./terminal.js";
import { type StageEnd, WatchedStage } from "./watched-stage.js";

export interface Bars extends Progress {
  /** Writes a line above the bars. */
  print(line: string): void;
}

export interface BarsOptions {
  readonly stream: Writable & { readonly columns?: number };
  /** Milliseconds. @default Date.now */
  readonly clock?: () => number;
}

const REDRAWS_PER_SECOND = 4;
/** Columns of a stage's name, in a wide and in a narrow terminal, and of its percents. */
const [NAME, SHORT_NAME] = [20, 14];
const PERCENT = 5;
const NARROW = 72;
/** In fewer columns the percents stand for the bar. */
const WITH_BAR = 50;
/** What is left for the facts in 80 columns: "round 5/32, loss 0.81, about 40 s left". */
const FACTS = 38;
const [LEAST_BAR, MOST_BAR] = [6, 24];

/**
 * A stage on one line: its name, bar and percents (where the total is known), and as many of its facts as there is room for. The last
 * one stays: it is the time.
 */
export function barLine(
  name: string,
  share: number | undefined,
  facts: readonly string[],
  columns: number,
  withBar = columns >= WITH_BAR,
): string {
  // The last column stays free: a cursor behind it would be on the next line.
  const width = Math.max(20, columns - 1);
  const least = columns < NARROW ? SHORT_NAME : NAME;
  const size = !withBar ? 0 : Math.max(LEAST_BAR, Math.min(MOST_BAR, width - NAME - PERCENT - FACTS - 4));
  const title = columnsOf(name) <= least ? fit(name, least) : cut(name, Math.max(least, width - size - PERCENT - 4));
  const full = Math.floor((share ?? 0) * size);
  const blocks = size === 0 ? "" : `${"█".repeat(full)}${"░".repeat(size - full)} `;
  const bar = `${blocks}${`${Math.floor(100 * (share ?? 0))} %`.padStart(PERCENT)}`;
  const head = share !== undefined ? `${title} ${bar}` : withBar ? title : `${title} ${" ".repeat(PERCENT)}`;
  const room = width - columnsOf(head) - 2;
  const kept = facts.filter((fact) => fact !== "");
  while (kept.length > 1 && columnsOf(kept.join(", ")) > room) kept.splice(-2, 1);
  return cut(`${head}  ${kept.join(", ")}`.trimEnd(), width);
}

export function createBars({ stream, clock = Date.now }: BarsOptions): Bars {
  const open = new Map<WatchedStage, cliProgress.SingleBar>();
  let shown: { readonly bars: cliProgress.MultiBar; readonly end: () => void } | undefined;
  const columns = (): number => stream.columns ?? 80;
  const lineOf = (stage: WatchedStage): string => {
    const { facts, time } = stage.words();
    return barLine(stage.name, stage.share, [...facts, time], columns());
  };
  const print = (line: string): void => {
    // What a bar leaves of its former line is cleared behind each line.
    const text = wrapped(line, columns() - 1);
    if (shown === undefined) {
      stream.write(`${text.join("\n")}\n`);
      return;
    }
    shown.bars.log(text.map((part) => `${part}\u001b[K\n`).join(""));
    shown.bars.update();
  };
  const show = (): cliProgress.MultiBar => {
    shown ??= openBars(stream, () => [...open.keys()].map(lineOf));
    return shown.bars;
  };
  const onEnd = (stage: WatchedStage, how: StageEnd): void => {
    const bar = open.get(stage);
    open.delete(stage);
    if (bar !== undefined) shown?.bars.remove(bar);
    if (how === "dropped") return;
    const share = how === "done" && stage.share !== undefined ? 1 : stage.share;
    print(barLine(stage.name, share, stage.summary(how), columns(), false));
  };
  return {
    stage(name, total, options = {}) {
      const stage = new WatchedStage(name, total, { ...options, clock, onEnd });
      const bars = show();
      open.set(stage, bars.create(1, 0, {}, { format: () => lineOf(stage) }));
      bars.update();
      return stage;
    },
    print,
    close() {
      for (const stage of [...open.keys()]) stage.stop();
      shown?.end();
      shown = undefined;
    },
  };
}

/**
 * Bars at the cursor's line.
 * @param lines texts of the bars as they are now
 */
function openBars(stream: BarsOptions["stream"], lines: () => string[]) {
  const bars = new cliProgress.MultiBar(
    {
      format: "",
      stream,
      fps: REDRAWS_PER_SECOND,
      // A line that was pushed down by a line of the log is the same text, and must be drawn again.
      forceRedraw: true,
      hideCursor: true,
      // A terminal that was left without it, by a process that was killed, would be of little use.
      linewrap: true,
      clearOnComplete: true,
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  let drawn: string[] = [];
  let narrowed = false;
  const resized = (): void => {
    narrowed = true;
  };
  // Drawn before the terminal became narrower, a line now takes several; all of them are cleared.
  bars.on("redraw-pre", () => {
    if (narrowed) {
      const width = stream.columns ?? 80;
      const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / width)), 0);
      if (rows > drawn.length) stream.write(`\u001b[${rows - drawn.length}A`);
      stream.write("\u001b[J");
      narrowed = false;
    }
    drawn = lines();
  });
  stream.on("resize", resized);
  const end = (): void => {
    stream.off("resize", resized);
    bars.stop();
  };
  return { bars, end };
}
