/** Attributes of ONNX nodes. */
import { ATTRIBUTE_TYPE, type AttributeMessage, DATA_TYPE } from "./schema.js";

export const floatAttribute = (name: string, f: number): AttributeMessage => ({ name, type: ATTRIBUTE_TYPE.float, f });
export const intAttribute = (name: string, i: number): AttributeMessage => ({ name, type: ATTRIBUTE_TYPE.int, i });
export const intsAttribute = (name: string, ints: readonly number[]): AttributeMessage => ({
  name,
  type: ATTRIBUTE_TYPE.ints,
  ints,
});
export const stringAttribute = (name: string, text: string): AttributeMessage => ({
  name,
  type: ATTRIBUTE_TYPE.string,
  s: new TextEncoder().encode(text),
});
export const fillAttribute = (value: number): AttributeMessage => ({
  name: "value",
  type: ATTRIBUTE_TYPE.tensor,
  t: {
    name: "",
    dims: [1],
    data_type: DATA_TYPE.float32,
    raw_data: new Uint8Array(Float32Array.of(value).buffer),
  },
});
