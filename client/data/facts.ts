/**
 * What a client's data is, counted: rows, tokens, labels, and rows that occur twice. It reads rows as text and as tokens, and no
 * file.
 */
import { counted } from "../../shared/base/format.js";
import { type ClientRows, type EncodedDataset, type EncodedRow, type Example, SPLITS, type Split } from "./types.js";

export interface SplitFacts {
  readonly rows: number;
  /** Tokens that the model reads, or is scored on, after truncation. */
  readonly tokens: number;
  /** Those that are scored. */
  readonly scored: number;
  /** Tokens of the longest row with its right answer, before truncation. */
  readonly longest: number;
  /** Rows that lost tokens at their beginning (plain text: at its end), and how many tokens all of them lost. */
  readonly truncated: { readonly rows: number; readonly tokens: number };
}

/** One answer of the rows with choices, and the rows that it is right for. */
export interface LabelFacts {
  readonly completion: string;
  readonly rows: Readonly<Record<Split, number>>;
}

export interface DuplicateFacts {
  /** Rows of a split that repeat an earlier row of the same split. */
  readonly within: Readonly<Record<Split, number>>;
  /** Rows of the second split that are also in the first: what was trained on would be measured. */
  readonly between: readonly { readonly splits: readonly [Split, Split]; readonly rows: number }[];
  /** Prompts that occur with different answers. */
  readonly contradictions: number;
}

export interface DataFacts {
  readonly name: string;
  readonly splits: Readonly<Record<Split, SplitFacts>>;
  /** Splits that were drawn from the training rows. */
  readonly drawn: readonly Split[];
  /** In the order of the choices; empty where no row has choices. */
  readonly labels: readonly LabelFacts[];
  /** Different answers of the rows without choices. */
  readonly freeAnswers: number;
  readonly duplicates: DuplicateFacts;
}

/**
 * Counts a client's data.
 * @param encoded its rows as tokens. @param whole the same, not truncated
 */
export function factsOf(rows: ClientRows, encoded: EncodedDataset, whole: EncodedDataset): DataFacts {
  return {
    name: rows.name,
    splits: bySplit((split) => splitFacts(encoded[split], whole[split])),
    drawn: rows.drawn,
    labels: labelsOf(rows),
    freeAnswers: new Set(
      SPLITS.flatMap((split) =>
        rows[split].flatMap((row) => (row.kind === "answer" && row.choices === undefined ? [row.completion] : [])),
      ),
    ).size,
    duplicates: duplicatesOf(rows),
  };
}

const bySplit = <T>(of: (split: Split) => T): Record<Split, T> => ({
  train: of("train"),
  validation: of("validation"),
  test: of("test"),
});

/** Tokens of a row with its right answer. */
const lengthOf = ({ tokens }: EncodedRow): number => tokens.length;

function splitFacts(rows: readonly EncodedRow[], whole: readonly EncodedRow[]): SplitFacts {
  const lost = whole.map((row, at) => lengthOf(row) - lengthOf(rows[at] as EncodedRow));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    rows: rows.length,
    tokens: sum(rows.map(lengthOf)),
    scored: sum(rows.map(({ scored }) => scored.length)),
    longest: whole.reduce((most, row) => Math.max(most, lengthOf(row)), 0),
    truncated: { rows: lost.filter((tokens) => tokens > 0).length, tokens: sum(lost) },
  };
}

function labelsOf(rows: ClientRows): LabelFacts[] {
  const labels = new Map<string, Record<Split, number>>();
  for (const split of SPLITS) {
    for (const row of rows[split]) {
      if (row.kind !== "answer" || row.choices === undefined) continue;
      for (const choice of row.choices)
        if (!labels.has(choice))
          labels.set(
            choice,
            bySplit(() => 0),
          );
      (labels.get(row.completion) as Record<Split, number>)[split]++;
    }
  }
  return [...labels].map(([completion, counts]) => ({ completion, rows: counts }));
}

/** A row's content, and its prompt alone where it has one. */
function keysOf({ where: _, ...row }: Example): { readonly whole: string; readonly prompt: string | undefined } {
  return { whole: JSON.stringify(row), prompt: row.kind === "answer" ? row.prompt : undefined };
}

function duplicatesOf(rows: ClientRows): DuplicateFacts {
  const keys = bySplit((split) => rows[split].map(keysOf));
  const sets = bySplit((split) => new Set(keys[split].map(({ whole }) => whole)));
  const answers = new Map<string, Set<string>>();
  for (const { whole, prompt } of SPLITS.flatMap((split) => keys[split])) {
    if (prompt === undefined) continue;
    const known = answers.get(prompt);
    if (known === undefined) answers.set(prompt, new Set([whole]));
    else known.add(whole);
  }
  const pairs: readonly [Split, Split][] = [
    ["train", "validation"],
    ["train", "test"],
    ["validation", "test"],
  ];
  return {
    within: bySplit((split) => keys[split].length - sets[split].size),
    between: pairs.map(([first, second]) => ({
      splits: [first, second],
      rows: keys[second].filter(({ whole }) => sets[first].has(whole)).length,
    })),
    contradictions: [...answers.values()].filter(({ size }) => size > 1).length,
  };
}

/** An answer of more than this share of the rows: a model that always gave it would look good. */
const DOMINANT_SHARE = 0.9;
/** Fewer validation rows decide little: the standard error of an accuracy of 80 % on 30 rows is 7 %. */
const FEW_VALIDATION_ROWS = 30;
/** So few answers for so many rows are labels, more likely than free text. */
const LABEL_LIKE = { answers: 20, rowsPerAnswer: 10 } as const;

/** What about the data deserves a second look, one sentence each. */
export function notesOf({ splits, labels, freeAnswers, duplicates }: DataFacts): string[] {
  const notes: string[] = [];
  const all = SPLITS.reduce((sum, split) => sum + splits[split].rows, 0);
  for (const { splits: pair, rows } of duplicates.between) {
    if (rows > 0) notes.push(`${rows} of ${splits[pair[1]].rows} ${pair[1]} rows are also ${pair[0]} rows`);
  }
  if (duplicates.contradictions > 0) {
    notes.push(`${duplicates.contradictions} prompts occur with different answers`);
  }
  const cut = SPLITS.reduce((sum, split) => sum + splits[split].truncated.rows, 0);
  if (cut > 0) notes.push(`${cut} of ${all} rows are longer than maxTokens and lose tokens`);
  const unseen = labels.filter(({ rows }) => rows.train === 0 && rows.validation + rows.test > 0);
  if (unseen.length > 0) {
    notes.push(
      `no training row has the answer ${unseen.map(({ completion }) => JSON.stringify(completion)).join(", ")}`,
    );
  }
  const labelled = labels.reduce((sum, { rows }) => sum + rows.train, 0);
  const most = labels.find(({ rows }) => rows.train > DOMINANT_SHARE * labelled);
  if (most !== undefined) {
    notes.push(`${most.rows.train} of ${labelled} training rows have the answer ${JSON.stringify(most.completion)}`);
  }
  if (labels.length === 0 && freeAnswers > 1 && freeAnswers <= LABEL_LIKE.answers) {
    if (all >= LABEL_LIKE.rowsPerAnswer * freeAnswers) {
      notes.push(`${all} rows have ${freeAnswers} different answers; as choices they would give an accuracy`);
    }
  }
  if (splits.validation.rows < FEW_VALIDATION_ROWS) {
    notes.push(
      `learning rate and weights are decided on ${counted(splits.validation.rows, "validation row")}; ${FEW_VALIDATION_ROWS} or more would be steadier`,
    );
  }
  return notes;
}
