/** The grouping methods by name, in a file of their own so that the command line can list them without loading them. */
import { GROUPINGS } from "../../shared/config/enumerations.js";

/** The methods of a configuration, and `sdp`, the relaxation alone, which the command on files offers for comparison. */
export const GROUPING_METHODS = [...GROUPINGS, "sdp"] as const;
export type GroupingMethod = (typeof GROUPING_METHODS)[number];
