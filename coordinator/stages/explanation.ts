/** An explanation as text for a terminal. Control characters are stripped from names. */
import * as format from "../../shared/base/format.js";
import { aligned, fit, type Paint, printable, sgr } from "../../shared/base/terminal.js";
import type { Change, Explanation } from "./explain.js";

export interface ScreenOptions {
  /** 256-colour escape sequences; false where stdout is not a terminal or NO_COLOR is set. */
  readonly color: boolean;
  /** Columns of the terminal. */
  readonly width: number;
}

/** Columns for a name in a table. */
const NAME_COLUMNS = 24;
/** Confidence from which on a change is coloured. */
const SIGNIFICANT = 0.975;

export function explanationText(explanation: Explanation, { color, width }: ScreenOptions): string {
  const same: Paint = (text) => text;
  const [bold, dim, better, worse] = color
    ? [sgr("1"), sgr("2"), sgr("38;5;39"), sgr("38;5;208")]
    : [same, same, same, same];
  const { client, group, members, loss, reason, partners, moves, whatIf } = explanation;
  const name = (text: string): string => fit(printable(text), NAME_COLUMNS).trimEnd();
  const others = members.filter((member) => member !== client);
  const companions = others.length === 0 ? "alone" : `with ${others.map(printable).join(", ")}`;
  const table = (rows: readonly (readonly string[])[], paint: (row: number) => Paint): string[] =>
    aligned(rows).map((cells, row) => {
      const line = cells.join("  ").trimEnd();
      return row === 0 ? dim(line) : paint(row - 1)(line);
    });
  const colourOf = ({ loss: change, confidence }: Change): Paint =>
    (confidence ?? 0) < SIGNIFICANT ? same : change < 0 ? better : worse;
  const lines = [
    bold(fit(`${printable(client)} is in group ${group}, ${companions}`, width).trimEnd()),
    `estimated validation loss ${format.loss(loss)} nats per example`,
    ...wrapped(reason, width),
    "",
    bold("Partners, by affinity in nats"),
    ...table(
      [
        ["", "group", "affinity", "± by subsets", "over mean", "reverse"],
        ...[...partners.best, ...[...partners.worst].reverse()].map((partner) => [
          name(partner.client),
          String(partner.group),
          format.fixed(partner.affinity, 3),
          format.fixed(partner.standardError, 3),
          format.signed(partner.overMean, 3),
          format.fixed(partner.inReturn, 3),
        ]),
      ],
      (row) => (row < partners.best.length ? better : worse),
    ),
  ];
  if (partners.best.length === 0) lines.splice(-2, 2, "It is the only client.");
  if (moves.length > 0) {
    const targets = moves.map(({ group: to, members: met, allowed }) => {
      const where = to === null ? "alone" : `to group ${to}, of ${format.count(met.length)}`;
      return allowed ? where : `${where} *`;
    });
    lines.push(
      "",
      bold("Moves: change of estimated loss, nats, below 0 is better"),
      ...table(
        [
          ["", "its own", "confidence", "all clients", "confidence"],
          ...moves.map(({ own, pooled }, at) => [targets[at]!, ...shown(own), ...shown(pooled)]),
        ],
        (row) => colourOf(moves[row]!.own),
      ),
      ...(moves.every(({ allowed }) => allowed) ? [] : [dim("* not allowed by grouping's sizes, together or apart")]),
    );
  }
  if (whatIf.length > 0) {
    const rows = whatIf.flatMap(({ event, other, own, group: rest, pooled, theirs }) => [
      { label: `${event} ${name(other)}: its own`, change: own },
      { label: "its group", change: rest },
      { label: "all clients", change: pooled },
      ...(theirs === null ? [] : [{ label: `${name(other)} itself`, change: theirs }]),
    ]);
    lines.push(
      "",
      bold("What if: change of estimated loss, nats, below 0 is better"),
      ...table([["", "change", "confidence"], ...rows.map(({ label, change }) => [label, ...shown(change)])], (row) =>
        colourOf(rows[row]!.change),
      ),
    );
  }
  lines.push("", dim("Estimated on the held-out examples of the search, which favours its groups."));
  return lines.join("\n");
}

/** A change with its standard error, and the confidence in its sign. */
function shown({ loss, standardError, confidence }: Change): [string, string] {
  if (confidence === null) return ["none", ""];
  const sure = confidence > 0.999 ? "> 99.9 %" : `${format.percent(confidence)} %`;
  return [`${format.signed(loss, 4)} ± ${format.fixed(standardError, 4)}`, sure];
}

/** The text in lines of at most `width` columns. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
