/** How a model's rows are encoded: what encode.ts knows of the model, from the model's files and the settings of a run. */
import { KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { EndOfText } from "../../shared/config/enumerations.js";
import type { EncodeOptions, RowEncoder } from "../data/encode.js";
import type { OpenedModel } from "../models/open.js";

export interface EncodingSettings {
  /** Longest row in tokens; bounded by the model's context. */
  readonly maxTokens: number;
  readonly endOfText: EndOfText;
}

/** Warns where rows lost tokens: their scores are those of shorter rows. @param rows number of rows that were encoded */
export function warnOfTruncation(
  { truncated }: RowEncoder,
  rows: number,
  { maxTokens }: EncodeOptions,
  log: Logger,
): void {
  if (truncated === 0) return;
  log.warn(
    "rows are longer than the most tokens and lose tokens; raise --max-tokens where the model's context permits",
    {
      rows: `${truncated}/${rows}`,
      maxTokens,
    },
  );
}

/** @throws {KindredError} `invalid_option` where rows are to end with a token that the model does not name */
export function encodingOf(
  { base, renderChat, endOfText: token }: OpenedModel,
  { maxTokens, endOfText }: EncodingSettings,
  log: Logger,
): EncodeOptions {
  const { context, vocabulary } = base.architecture;
  const options = { maxTokens: Math.min(maxTokens, context), renderChat, vocabulary };
  if (endOfText === false) return options;
  if (token !== undefined) return { ...options, end: { token, rows: endOfText === true ? "all" : "free answers" } };
  const missing = `${base.folder.path}: the model's files name no end-of-text token (eos_token, eos_token_id)`;
  if (endOfText === true)
    throw new KindredError("invalid_option", `endOfText: ${missing}; set it to auto or false`, { field: "endOfText" });
  log.warn(`${missing}; rows end without one, and the model cannot learn where an answer ends`);
  return options;
}
