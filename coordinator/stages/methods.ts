/** The ways of grouping, by name; alone in its file so that a command line can name them without loading them. */
import { GROUPINGS } from "../../shared/config/enumerations.js";

/** Those of a configuration; and `sdp`, the relaxation alone, which the command on files offers for comparison. */
export const METHODS = [...GROUPINGS, "sdp"] as const;
export type GroupingMethod = (typeof METHODS)[number];
