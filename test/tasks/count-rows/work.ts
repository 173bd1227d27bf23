import type { Work } from "../../../client/tasks/work.js";
import type { CountRows, CountRowsResult } from "./message.js";

export const work: Work<CountRows, CountRowsResult> = async ({ limit }, tools) => {
  const rows = (["train", "validation", "test"] as const).flatMap((split) => tools.rows(split)).length;
  // Forgets a limit of 2, so that a test can see the answer refused.
  return { rows: limit === 0 || limit === 2 ? rows : Math.min(rows, limit) };
};
