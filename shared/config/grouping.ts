/** Options of the groups, and of what is trained and fitted once they are known. */
import { z } from "zod";
import { contradiction } from "../base/group-constraints.js";
import { MAX_CLIENTS, MAX_NAME_LENGTH } from "../base/limits.js";
import { GROUPINGS } from "./enumerations.js";
import { auto, block, refuse, whole } from "./fields.js";

export const groups = auto(whole(1, MAX_CLIENTS)).describe(
  "Number of groups. auto: the number that the estimate judges best; one group for all is a candidate.",
);

const clientLists = z
  .array(z.array(z.string().min(1).max(MAX_NAME_LENGTH)).min(2).max(MAX_CLIENTS))
  .max(MAX_CLIENTS)
  .meta({ title: "a list of lists of clients' names" })
  .default([]);

export const grouping = block({
  method: z
    .enum(GROUPINGS)
    .default("kindred")
    .describe(
      "How groups are found. kindred: the groups that the estimate judges best. The others are baselines for comparison: spectral and cocluster (both sides of the affinities), agglomerative (average linkage), cosine (of mean gradients), random. A baseline takes the number of groups from groups, or from the eigengap of the affinities.",
    ),
  minSize: whole(1, MAX_CLIENTS).default(1).describe("Fewest clients that a group may have."),
  maxSize: whole(1, MAX_CLIENTS)
    .optional()
    .describe("Most clients that a group may have. Unless given, there is no upper bound."),
  together: clientLists.describe("Lists of clients, by name, that must share a group: [[a, b], [c, d, e]]."),
  apart: clientLists.describe("Lists of clients, by name. No two clients of a list may share a group: [[a, b]]."),
})
  .superRefine((constraints, context) => {
    const message = contradiction(constraints);
    if (message !== undefined)
      refuse(context, `impossible constraints (${message}); expected constraints that can all hold`);
  })
  .describe("How clients are divided into groups, and the constraints that every division keeps.");

export const boosting = block({
  rounds: whole(0, 100)
    .default(1)
    .describe("Boosting adapters, each for the group whose members fit worst. 0: no boosting."),
}).describe("Adapters that are fitted to what the groups' adapters leave.");

export const ensemble = block({
  strength: auto(z.number().min(0)).describe(
    "How strongly a client's weights are drawn to its own group's adapter, in validation rows that this preference is worth. 0: the validation rows alone decide. auto: 16 rows.",
  ),
}).describe("Each client's weights on the adapters.");
