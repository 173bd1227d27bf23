/** The result of `kindred data check` as text for a terminal. */
import { SPLITS } from "../../client/data/types.js";
import { count, counted, duration, flops, percent } from "../../shared/base/format.js";
import { aligned, oneLine, printable, sgr } from "../../shared/base/terminal.js";
import type { ClientCheck, DataCheck, MarkedRow } from "./check.js";

/** Clients, labels and notes that are listed; the JSON has all. */
const MOST_CLIENTS = 40;
const MOST_LABELS = 12;
const MOST_NOTES = 20;
/** Characters of a part of a row that is not scored. */
const MOST_PROMPT = 320;

/** Model and data, as the user named them. */
interface Named {
  readonly model: string;
  readonly data: string;
}

const same = (text: string): string => text;

/** @param color whether escape sequences may be written; without them scored text stands in brackets */
export function checkText(check: DataCheck & Named, { color }: { readonly color: boolean }): string {
  const [bold, faint, scored] = color ? [sgr("1"), sgr("2"), sgr("7")] : [same, same, (text: string) => `[[${text}]]`];
  const { clients, examples, training } = check;
  const { adapter, epochs, batch, steps, seconds } = training;
  const time = seconds === null ? "" : `, about ${duration(seconds)} on this machine`;
  return [
    bold(oneLine(`${check.data}, read by ${check.model}`)),
    ...clientLines(clients, faint),
    ...(clients.length > 1 ? [] : labelLines(clients[0] as ClientCheck, faint)),
    "",
    bold(`Scored, ${color ? "inverse" : "in double brackets"}:`),
    ...examples.flatMap((row) => ["", faint(`${row.where}, ${counted(row.tokens, "token")}`), markedText(row, scored)]),
    "",
    bold("Training:"),
    `${counted(steps, "step")} of ${counted(batch, "row")} (${counted(epochs, "pass", "passes")} over ${
      clients.length > 1 ? "all clients' rows" : "the rows"
    }), ${flops(training.flops)}${time}`,
    faint(`LoRA of rank ${adapter.rank}, ${count(adapter.parameters)} trained values`),
    ...noteLines(clients, bold),
    "",
  ].join("\n");
}

function clientLines(clients: readonly ClientCheck[], faint: (text: string) => string): string[] {
  const head = ["", ...SPLITS, "tokens", "scored", "longest", "truncated"];
  const rows = clients.slice(0, MOST_CLIENTS).map(({ name, splits, drawn }) => {
    const all = SPLITS.map((split) => splits[split]);
    const sum = (of: (split: (typeof all)[number]) => number): number =>
      all.reduce((total, split) => total + of(split), 0);
    return [
      printable(name),
      ...SPLITS.map((split) => `${count(splits[split].rows)}${drawn.includes(split) ? "*" : " "}`),
      count(sum(({ tokens }) => tokens)),
      count(sum((split) => split.scored)),
      count(Math.max(...all.map(({ longest }) => longest))),
      count(sum(({ truncated }) => truncated.rows)),
    ];
  });
  const [first = [], ...cells] = aligned([head, ...rows]);
  const more = clients.length - MOST_CLIENTS;
  return [
    faint(first.join("  ").trimEnd()),
    ...cells.map((row) => row.join("  ").trimEnd()),
    ...(more > 0 ? [faint(`and ${counted(more, "client")} more: --json lists all`)] : []),
    ...(clients.some(({ drawn }) => drawn.length > 0) ? [faint("* rows drawn from the training rows")] : []),
  ];
}

function labelLines({ labels }: ClientCheck, faint: (text: string) => string): string[] {
  if (labels.length === 0) return [];
  const total = SPLITS.map((split) => labels.reduce((sum, { rows }) => sum + rows[split], 0));
  const head = ["answer", ...SPLITS];
  const rows = labels
    .slice(0, MOST_LABELS)
    .map(({ completion, rows }) => [
      oneLine(JSON.stringify(completion)),
      ...SPLITS.map(
        (split, at) => `${count(rows[split])} (${percent(rows[split] / Math.max(1, total[at] as number), 0)} %)`,
      ),
    ]);
  const [first = [], ...cells] = aligned([head, ...rows]);
  const more = labels.length - MOST_LABELS;
  return [
    "",
    faint(first.join("  ").trimEnd()),
    ...cells.map((row) => row.join("  ").trimEnd()),
    ...(more > 0 ? [faint(`and ${counted(more, "answer")} more: --json lists all`)] : []),
  ];
}

function markedText({ parts }: MarkedRow, scored: (text: string) => string): string {
  return parts
    .map((part) => {
      if (part.scored)
        return scoredLines(part.text)
          .map((line) => (line === "" ? "" : scored(line)))
          .join("\n");
      const { text } = part;
      const shown = text.length <= MOST_PROMPT ? text : `${text.slice(0, 80)} ... ${text.slice(80 - MOST_PROMPT)}`;
      return lines(shown).join("\n");
    })
    .join("");
}

/** Lines of scored text: a line end is scored too, and is seen. Behind the last one nothing is scored. */
function scoredLines(text: string): string[] {
  const all = lines(text);
  return all.map((line, at) => (at < all.length - 1 ? `${line}↵` : line));
}

/** Lines without control characters. */
const lines = (text: string): string[] => text.split("\n").map(printable);

/** So many clients with the same note are named; with more it is one line. */
const NAMED_PER_NOTE = 3;

/** Notes that differ in nothing but their numbers are one kind. */
const kindOfNote = (note: string): string => note.replace(/\d+/g, "#");

function noteLines(clients: readonly ClientCheck[], bold: (text: string) => string): string[] {
  const kinds = new Map<string, { name: string; note: string }[]>();
  for (const { name, notes } of clients) {
    for (const note of notes) {
      const kind = kindOfNote(note);
      kinds.set(kind, [...(kinds.get(kind) ?? []), { name: printable(name), note }]);
    }
  }
  const all = [...kinds.values()].flatMap((found) => {
    if (clients.length === 1) return found.map(({ note }) => note);
    if (found.length <= NAMED_PER_NOTE) return found.map(({ name, note }) => `${name}: ${note}`);
    const [{ name, note }] = found as [{ name: string; note: string }];
    const alike = found.every((other) => other.note === note) ? "" : ", with other numbers";
    return [`${name}: ${note} (and ${counted(found.length - 1, "client")} more${alike})`];
  });
  if (all.length === 0) return [];
  const more = all.length - MOST_NOTES;
  return [
    "",
    bold("Worth a look:"),
    ...all.slice(0, MOST_NOTES).map(oneLine),
    ...(more > 0 ? [`and ${counted(more, "note")} more: --json lists all`] : []),
  ];
}
