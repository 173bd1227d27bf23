import { it } from "node:test";
import { endsWhicheverWriteKills } from "./killed.js";

it("a run ends as the calm one whichever of its writes the coordinator dies with", (t) =>
  endsWhicheverWriteKills(t, 1));
