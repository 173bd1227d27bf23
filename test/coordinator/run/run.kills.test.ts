import { it } from "node:test";
import { endsWhicheverWriteKills } from "./killed.js";

// The long test has every write.
it("a run ends as the calm one where the coordinator dies with its last write, and with each seventh before it", (t) =>
  endsWhicheverWriteKills(t, 7));
