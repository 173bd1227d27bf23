/** The former home of these types; new code imports shared/wire/types.ts. */
export type * from "./types.js";
