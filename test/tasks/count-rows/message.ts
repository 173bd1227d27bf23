/** A kind of a test: counts the client's rows. */
import { asset } from "../../../shared/base/assets.js";
import { refuse } from "../../../shared/wire/checks.js";
import { struct, uint32 } from "../../../shared/wire/fields.js";
import type { TaskCost } from "../../../shared/wire/types.js";
import type { TaskKind } from "../../../tasks/kind.js";
import { release } from "../../../tasks/release.js";

export interface CountRows {
  readonly kind: "countRows";
  readonly limit: number;
}

export interface CountRowsResult {
  readonly kind: "countRows";
  readonly rows: number;
  readonly cost: TaskCost;
}

export const countRows: TaskKind<CountRows, CountRowsResult> = {
  name: "countRows",
  proto: {
    file: asset("test", "tasks", "count-rows", "count-rows.proto"),
    task: "kindred.test.CountRows",
    result: "kindred.test.CountRowsResult",
  },
  task: struct({ limit: uint32(0, 1_000) }),
  result: struct({ rows: uint32() }),
  releases: { rows: release("count", { rowNorm: 0 }) },
  blobs: () => [],
  check: ({ limit }, { rows }) => {
    if (limit > 0 && rows > limit) refuse("count_rows.rows", `at most ${limit}`, rows);
  },
};
