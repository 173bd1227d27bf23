/** The base model without tuning. */
import type { AdapterSpec } from "../../shared/wire/types.js";
import type { Method } from "./method.js";

export const baseMethod = (adapter: AdapterSpec): Method<"base"> => ({
  name: "base",
  sweeps: false,
  uses: [],
  train: async () => ({ adapter, curves: [], mixture: () => [] }),
});
