/** The published ensemble of a run in the form of the journal. `kindred export` writes it as folders. */
import type { AdapterSettings } from "../../shared/adapters/settings.js";
import type { BlobRef } from "../../shared/wire/types.js";

/** Its name in the journal. */
export const PUBLISHED = "published";

export interface Published {
  /** The base model by the user's name for it; null where the coordinator has none. */
  readonly model: string | null;
  readonly adapter: AdapterSettings;
  readonly members: readonly { readonly name: string; readonly values: BlobRef }[];
  /** Pairs of a client and its weights, one per member. */
  readonly weights: readonly (readonly [string, readonly number[]])[];
}
