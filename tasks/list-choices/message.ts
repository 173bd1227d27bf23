/** Asks how the choices of the client's training and validation rows begin. */
import { asset } from "../../shared/base/assets.js";
import type { AnswerPrefix } from "../../shared/sketch/answer-prefixes.js";
import { adapterSpec } from "../../shared/wire/adapter-spec.js";
import { answerPrefixes } from "../../shared/wire/answer-prefixes.js";
import { struct } from "../../shared/wire/fields.js";
import type { AdapterSpec, TaskCost } from "../../shared/wire/types.js";
import type { TaskKind } from "../kind.js";
import { release } from "../release.js";

export interface ListChoices {
  readonly kind: "listChoices";
  readonly adapter: AdapterSpec;
}

export interface ListChoicesResult {
  readonly kind: "listChoices";
  /** Each once, ascending; empty where no rows have choices. */
  readonly answerPrefixes: readonly AnswerPrefix[];
  readonly cost: TaskCost;
}

export const listChoices: TaskKind<ListChoices, ListChoicesResult> = {
  name: "listChoices",
  proto: {
    file: asset("tasks", "list-choices", "list-choices.proto"),
    task: "kindred.v1.ListChoices",
    result: "kindred.v1.ListChoicesResult",
  },
  task: struct({ adapter: adapterSpec }),
  result: struct({ answerPrefixes }),
  releases: { answerPrefixes: release("answers") },
  blobs: () => [],
  check: () => undefined,
};
