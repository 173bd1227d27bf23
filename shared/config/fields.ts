/** Parts that the blocks of the schema are made of. */
import { z } from "zod";

/** A whole number, both bounds included. */
export const whole = (min: number, max: number) => z.number().int().min(min).max(max);

/** A value, or "auto", which is the default: the run decides. The description says how. */
export const auto = <T extends z.ZodType>(value: T) => z.union([z.literal("auto"), value]).default("auto");

/** A block may be left out as a whole, and then has its fields' defaults. */
export const block = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

/** A string with a meaning that an error and a table can name. */
export const text = (title: string) => z.string().min(1).meta({ title });

/** Reports a value that the types allow and another field excludes. `advice`: what the user may do. */
export function refuse(
  context: z.core.$RefinementCtx,
  message: string,
  { path = [], advice }: { readonly path?: PropertyKey[]; readonly advice?: string } = {},
): void {
  context.addIssue({ code: "custom", path, message, ...(advice === undefined ? {} : { params: { advice } }) });
}
