/** Writes safetensors whose tensors have dtypes of their own: floats beside codes. See safetensors.ts for the format. */
import { KindredError } from "../base/errors.js";
import { sizeOf } from "../base/tensors.js";
import { safetensorsHeader } from "./safetensors.js";

export interface RawTensor {
  readonly dtype: "F32" | "F16" | "I8";
  readonly shape: readonly number[];
  /** As many elements as the shape has, of the dtype's width. */
  readonly data: Float32Array | Uint16Array | Int8Array;
}

const WIDTH = { F32: 4, F16: 2, I8: 1 } as const;

/**
 * Equal tensors give equal bytes. The data starts at a multiple of 8.
 * @throws {KindredError} `shape_mismatch` where a shape does not fit its data
 */
export function encodeRawSafetensors(tensors: ReadonlyMap<string, RawTensor>): Uint8Array {
  for (const [name, { dtype, shape, data }] of tensors) {
    if (sizeOf(shape) === data.length && data.BYTES_PER_ELEMENT === WIDTH[dtype]) continue;
    const message = `tensor ${JSON.stringify(name)} of shape [${shape.join(", ")}] with ${data.length} values cannot be stored as ${dtype}`;
    throw new KindredError("shape_mismatch", message, { tensor: name, values: data.length });
  }
  const header = safetensorsHeader(tensors, { dtype: (name) => tensors.get(name)!.dtype });
  const parts = Array.from(
    tensors.values(),
    ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
  return new Uint8Array(Buffer.concat([header, ...parts]));
}
