/**
 * FedProx (Li et al. 2020, arXiv 1812.06127): each client's objective has the term mu/2 |w - start|^2, which holds clients that
 * differ, or take many steps, near each other. The server's side is FedAvg's.
 */
import { fedavg } from "./fedavg.js";
import type { StepSettings } from "./settings.js";
import type { Strategy } from "./strategy.js";

export function fedprox({ mu, ...settings }: StepSettings & { readonly mu: number }): Strategy {
  return { ...fedavg(settings), name: "fedprox", client: () => (mu > 0 ? { proximal: mu } : {}) };
}
