/** Text for a terminal: colours, widths, columns. Knows no report. */

export type Paint = (text: string) => string;

const RESET = "\u001b[0m";

/** @param codes of Select Graphic Rendition (ECMA-48): "1" for bold, "2" for faint, "38;5;208" for a colour of 256 */
export function sgr(codes: string): Paint {
  return (text) => (text === "" ? "" : `\u001b[${codes}m${text}${RESET}`);
}

/**
 * Text on one line without control characters and overrides of its direction: it may quote files, options and clients, and must not
 * control the terminal.
 */
export const oneLine = (text: string): string =>
  text
    .replace(/\s*[\r\n\u2028\u2029]\s*/g, " ")
    .replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd")
    .trim();

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");

/** Width of a text in columns, without escape sequences: two for East Asian wide characters and emoji, none for marks. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text.replace(ESCAPES, "")) {
    if (/\p{Mn}|\p{Me}/u.test(character)) continue;
    columns +=
      /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return columns;
}

const room = (text: string, columns: number): string => " ".repeat(Math.max(0, columns - columnsOf(text)));

/** Padded on the right. */
export const left = (text: string, columns: number): string => text + room(text, columns);

/** Padded on the left. */
export const right = (text: string, columns: number): string => room(text, columns) + text;

/** Cells padded to the widths of their columns: the first column is aligned left, the others, with numbers, right. */
export function aligned(rows: readonly (readonly string[])[]): string[][] {
  const widths = (rows[0] ?? []).map((_, c) => Math.max(...rows.map((row) => columnsOf(row[c] ?? ""))));
  return rows.map((row) => row.map((text, c) => (c === 0 ? left : right)(text, widths[c] ?? 0)));
}

/** A name without control characters, bidirectional overrides and invisible characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu, "\ufffd");
}

/** Truncated with an ellipsis, or padded on the right. */
export function fit(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return left(text, columns);
  let cut = "";
  for (const character of text) {
    if (columnsOf(cut + character) > columns - 1) break;
    cut += character;
  }
  return `${cut}…${" ".repeat(Math.max(0, columns - 1 - columnsOf(cut)))}`;
}

/** Truncated with an ellipsis. */
export const cut = (text: string, columns: number): string => fit(text, columns).trimEnd();

/** Lines of at most so many columns, broken between words where there are words. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  const end = (): void => {
    lines.push(line.trimEnd());
    line = "";
  };
  for (const word of text.split(/(?<= )/)) {
    if (line !== "" && columnsOf((line + word).trimEnd()) > columns) end();
    for (const character of word) {
      if (line !== "" && character !== " " && columnsOf(line + character) > columns) end();
      line += character;
    }
  }
  end();
  return lines;
}

function valueText(value: unknown): string {
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(3)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Named values as words: `{learningRate: 0.03}` is "learning rate 0.03". Those that are undefined are left out. */
export const factsOf = (fields: object): string[] =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${valueText(value)}`);

/** A word as a shell takes it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
