/**
 * A result's releases become bytes: here and nowhere else. Tensors pass the transforms that the task asks for and are encoded as
 * safetensors; numbers go into the result's message.
 */
import { encodeCoded } from "../../shared/transforms/coded.js";
import type { AnyResult, AnyTask } from "../../tasks/kind.js";
import { kindOf, tensorFields, type UnsentResult } from "../../tasks/kinds.js";
import type { ReleaseDeclaration, ReleasedTensors } from "../../tasks/release.js";
import type { Memory } from "./memory.js";
import { transformed } from "./transforms/chain.js";

/** A field of a result as bytes. */
export interface EncodedRelease {
  readonly field: string;
  readonly bytes: Uint8Array;
}

/** Encodes the tensors of a result. @throws {KindredError} what the task's transforms throw */
export async function encodeReleases(task: AnyTask, result: UnsentResult, memory: Memory): Promise<EncodedRelease[]> {
  const encoded: EncodedRelease[] = [];
  for (const [field, declaration] of tensorFields(kindOf(task))) {
    const released = (result as unknown as Record<string, ReleasedTensors>)[field] as ReleasedTensors;
    encoded.push({ field, bytes: await encodeRelease(task, declaration, released, memory) });
  }
  return encoded;
}

async function encodeRelease(
  { transport }: AnyTask,
  { kind, sensitivity }: ReleaseDeclaration,
  { tensors, start = new Map() }: ReleasedTensors,
  memory: Memory,
): Promise<Uint8Array> {
  const release = { kind, tensors, start, sensitivity };
  if (transport === undefined || kind !== "update") return encodeCoded(tensors);
  return encodeCoded((await transformed(release, { transport, memory })).tensors);
}

/** What the result's message says of the transforms. */
export const appliedTransforms = ({ transport }: AnyTask): Pick<AnyResult, "transforms"> =>
  transport === undefined ? {} : { transforms: transport.transforms };
