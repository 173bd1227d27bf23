/** Tells how the choices of training and validation rows begin. */
import type { Work } from "../../client/tasks/work.js";
import { answerPrefixesOf } from "../../client/tuning/negatives.js";
import type { ListChoices, ListChoicesResult } from "./message.js";

export const work: Work<ListChoices, ListChoicesResult> = async (_, tools) => ({
  answerPrefixes: answerPrefixesOf([...tools.rows("train"), ...tools.rows("validation")]),
});
