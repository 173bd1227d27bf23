/** Hands a client its ensemble. */
import { asset } from "../../shared/base/assets.js";
import { adapterSpec } from "../../shared/wire/adapter-spec.js";
import { blob, listOf, real, struct, text } from "../../shared/wire/fields.js";
import { MAX_MEMBER_NAME_LENGTH, MAX_MEMBERS } from "../../shared/wire/limits.js";
import type { AdapterSpec, BlobRef, TaskCost } from "../../shared/wire/types.js";
import type { TaskKind } from "../kind.js";

export interface EnsembleMember {
  /** Letters, digits, dots, hyphens and underscores. */
  readonly name: string;
  readonly adapter: BlobRef;
  readonly weight: number;
}

export interface ReceiveEnsemble {
  readonly kind: "receiveEnsemble";
  readonly adapter: AdapterSpec;
  readonly members: readonly EnsembleMember[];
}

export interface ReceiveEnsembleResult {
  readonly kind: "receiveEnsemble";
  readonly cost: TaskCost;
}

/** A client uses the name for a folder: nothing that leads elsewhere passes. */
const memberName = text(
  1,
  MAX_MEMBER_NAME_LENGTH,
  /^\w[\w.-]*$/,
  "letters, digits, dots, hyphens and underscores, not starting with a dot or a hyphen",
);

export const receiveEnsemble: TaskKind<ReceiveEnsemble, ReceiveEnsembleResult> = {
  name: "receiveEnsemble",
  proto: {
    file: asset("tasks", "receive-ensemble", "receive-ensemble.proto"),
    task: "kindred.v1.ReceiveEnsemble",
    result: "kindred.v1.ReceiveEnsembleResult",
  },
  task: struct({
    adapter: adapterSpec,
    members: listOf(struct<EnsembleMember>({ name: memberName, adapter: blob, weight: real(0) }), 1, MAX_MEMBERS),
  }),
  result: struct({}),
  releases: {},
  blobs: ({ members }) => members.map(({ adapter }) => adapter),
  check: () => undefined,
};
