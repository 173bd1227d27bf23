/**
 * Transforms of an update between its values at the client and its bytes: what a client can do, a task asks for and a result
 * says was done. The client's side is client/outbox/transforms, the coordinator's coordinator/inbox.
 */
export const TRANSFORMS = ["fp16", "int8"] as const;
export type TransformName = (typeof TRANSFORMS)[number];

/** Name in the program -> name on the wire. */
export const TRANSFORM_NAMES: Readonly<Record<TransformName, string>> = { fp16: "fp16", int8: "int8" };

/** Values of `transport.compression`. */
export const COMPRESSIONS = ["none", ...TRANSFORMS] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** Transforms that a configuration's compression asks for. */
export const transformsOf = (compression: Compression): readonly TransformName[] =>
  compression === "none" ? [] : [compression];
