/**
 * Which blobs a run needs after its end. A run passes through all of its steps and results, also when it resumes, so at its end it has
 * named each blob to this list: updates and the ends of rounds as transient, all else as needed. A blob that is both stays, since equal
 * contents are one blob (the update of a group of one client is the group's adapter). It knows nothing of storage.
 */
import type { BlobRef } from "../../shared/wire/types.js";

export class Retention {
  private readonly needed = new Set<string>();
  private readonly transient = new Map<string, BlobRef>();

  /** All blobs that a value of JSON names are needed after the run. */
  keep(value: unknown): void {
    for (const { sha256 } of blobsIn(value)) this.needed.add(sha256);
  }

  /** The run itself needs them, and nobody after it, unless they are kept as well. */
  pass(value: unknown): void {
    for (const ref of blobsIn(value)) this.transient.set(ref.sha256, ref);
  }

  /** What can be removed when the run has ended. */
  get surplus(): BlobRef[] {
    return [...this.transient.values()].filter(({ sha256 }) => !this.needed.has(sha256));
  }
}

function* blobsIn(value: unknown): Generator<BlobRef> {
  if (typeof value !== "object" || value === null) return;
  const { sha256, size } = value as Partial<BlobRef>;
  if (typeof sha256 === "string" && typeof size === "number") yield { sha256, size };
  else for (const part of Object.values(value)) yield* blobsIn(part);
}
