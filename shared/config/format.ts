/**
 * How an object or a CSV row becomes a prompt with a completion: a template with fields in braces, and a map from a label's
 * value to its completion. Knows the notation; the client reads the rows.
 */

export interface RowFormat {
  /** Text of the prompt. `{field}` stands for a row's field; `{{` and `}}` are braces. It needs choices or completion, unless it is one field alone or asks a question. */
  readonly template?: string;
  /** Template of the completion, for answers in free text. Not beside `choices`. Without `template` the prompt is empty. */
  readonly completion?: string;
  /** Completion of each value of the label. At least two. */
  readonly choices?: Readonly<Record<string, string>>;
  /** Field that holds the label. Unless given: `label`, or `label_text` where `label` has no value of `choices`. */
  readonly label?: string;
  /** Fields that are left out before a row is read; `messages.NAME` is a field of each message. */
  readonly ignore?: readonly string[];
}

/** The format's own fields of any options, where they are given. */
export function formatOf({ template, completion, choices, label, ignore }: Given<RowFormat>): RowFormat {
  return {
    ...(template === undefined ? {} : { template }),
    ...(completion === undefined ? {} : { completion }),
    ...(choices === undefined ? {} : { choices }),
    ...(label === undefined ? {} : { label }),
    ...(ignore === undefined ? {} : { ignore }),
  };
}

/** What is wrong with a format's label, in words: undefined where nothing is. */
export const labelProblem = ({ label, choices }: RowFormat): string | undefined =>
  label === undefined || choices !== undefined
    ? undefined
    : `nothing reads it without choices that its values stand for, got ${JSON.stringify(label)}; add choices, or remove it`;

type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

/**
 * The fields of `own` replace those of `all`. A completion of `own` also replaces choices of `all` with their label, and choices a
 * completion.
 */
export function mergeFormats(all: RowFormat, own: RowFormat = {}): RowFormat {
  if (own.choices === undefined && own.completion === undefined) return { ...all, ...own };
  const { choices: _, completion: __, label, ...rest } = all;
  return { ...rest, ...(own.choices === undefined || label === undefined ? {} : { label }), ...own };
}

/** A template taken apart: literal text and fields in turn. */
export type TemplatePart = { readonly text: string } | { readonly field: string };

/** Wide enough for any field name in use, narrow enough that a stray brace in prose is seen as the mistake it is. */
const MAX_FIELD_LENGTH = 100;

/**
 * Takes a template apart.
 * @throws {Error} where a brace has no partner. The message is for the user; the caller adds where the template stands
 */
export function parseTemplate(template: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let text = "";
  for (let at = 0; at < template.length; at++) {
    const char = template[at] as string;
    if ((char === "{" || char === "}") && template[at + 1] === char) {
      text += char;
      at++;
    } else if (char === "}") {
      throw new Error("a } without a {; expected {field}, or }} for the brace itself");
    } else if (char === "{") {
      const end = template.indexOf("}", at);
      const field = end < 0 ? "" : template.slice(at + 1, end).trim();
      if (end < 0) throw new Error("a { without a }; expected {field}, or {{ for the brace itself");
      if (field === "" || field.includes("{") || field.length > MAX_FIELD_LENGTH) {
        throw new Error(
          `no field name in ${JSON.stringify(template.slice(at, Math.min(end + 1, at + 40)))}; expected {field}, or {{ for the brace itself`,
        );
      }
      if (text !== "") parts.push({ text });
      text = "";
      parts.push({ field });
      at = end;
    } else {
      text += char;
    }
  }
  if (text !== "") parts.push({ text });
  return parts;
}

/** The texts of a format in which a backslash and a letter stand where a line end or a tab was probably meant, as warnings. */
export function escapeWarnings({ template, completion, choices = {} }: RowFormat): string[] {
  const texts: [string, string | undefined][] = [
    ["template", template],
    ["completion", completion],
    ...Object.entries(choices).map(([label, text]): [string, string] => [`choices.${label}`, text]),
  ];
  return texts.flatMap(([field, text]) => {
    const found = text === undefined ? undefined : /\\[nrt]/.exec(text)?.[0];
    if (found === undefined) return [];
    const meant = found === "\\t" ? "a tab" : "a line end";
    return `${field} holds the characters ${found}, which are not ${meant}; in YAML, write ${found} within double quotes, and in a shell within $'...'`;
  });
}
