/** What gives a client's numbers their meaning, as it names it at enrolment: the model, and what its rows' tokens depend on beside it. */
import type { Quantization } from "../../shared/quantization/layout.js";
import type { ModelIdentity } from "../../shared/wire/types.js";
import type { EncodeOptions } from "../data/encode.js";
import { type ClientRows, type Example, SPLITS } from "../data/types.js";
import type { OpenedModel } from "../models/open.js";

const isFreeAnswer = (row: Example): boolean => row.kind === "answer" && row.choices === undefined;

/** A part that none of the client's rows depends on is null, so that it keeps no client out. */
export function identityOf(
  { base, tokenizer, renderChat }: OpenedModel,
  rows: ClientRows,
  { end }: EncodeOptions,
  quantization: Quantization | "none",
): ModelIdentity {
  const has = (holds: (row: Example) => boolean): boolean => SPLITS.some((split) => rows[split].some(holds));
  const token = String(end?.token ?? "none");
  return {
    quantization,
    modelHash: base.hash,
    tokenizerHash: tokenizer.hash,
    chatTemplateHash: (has(({ kind }) => kind === "chat") ? renderChat?.hash : undefined) ?? null,
    endOfFreeAnswers: has(isFreeAnswer) ? token : null,
    endOfOtherRows: has((row) => !isFreeAnswer(row)) ? (end?.rows === "all" ? token : "none") : null,
  };
}
