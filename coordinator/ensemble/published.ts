/** What a run publishes: the ensemble as the journal keeps it. `kindred export` writes it as folders. */
import type { AdapterSettings } from "../../shared/adapters/settings.js";
import type { BlobRef } from "../../shared/wire/types.js";

/** The journal's name for what is published. */
export const PUBLISHED = "published";

export interface Published {
  /** The base model as the user named it; null where the coordinator was not told. */
  readonly model: string | null;
  readonly adapter: AdapterSettings;
  readonly members: readonly { readonly name: string; readonly values: BlobRef }[];
  /** Pairs of a client and its weights, one per member. */
  readonly weights: readonly (readonly [string, readonly number[]])[];
}
