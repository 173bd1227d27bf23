/** A finished ensemble as a folder: its members as PEFT adapters, and the weights of each client. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../base/atomic.js";
import type { NamedTensors } from "../base/tensors.js";
import { adaptedModules, writePeftAdapter } from "./peft.js";

export interface WrittenMember {
  readonly name: string;
  readonly tensors: NamedTensors;
}

export interface WrittenEnsemble {
  /** What the adapters say of their base model. */
  readonly baseModel: string | null;
  readonly adapter: { readonly rank: number; readonly alpha: number; readonly dropout: number };
  readonly members: AsyncIterable<WrittenMember> | Iterable<WrittenMember>;
  /** Pairs of a client and its weights, one a member. */
  readonly weights: Iterable<readonly [string, readonly number[]]>;
}

/** How the logits are made, for whoever reads `ensemble.json`. */
const RULE = "base + sum of w (member - base), on logits";

/** Writes `members/<name>/` and `ensemble.json` into a folder; members that are there already are replaced. Returns the names. */
export async function writeEnsemble(folder: string, ensemble: WrittenEnsemble): Promise<string[]> {
  await rm(join(folder, "members"), { recursive: true, force: true });
  const { rank, alpha, dropout } = ensemble.adapter;
  const names: string[] = [];
  for await (const { name, tensors } of ensemble.members) {
    const adapter = { rank, alpha, dropout, targetModules: adaptedModules(tensors), useRslora: false, tensors };
    await writePeftAdapter(join(folder, "members", name), adapter, { baseModel: ensemble.baseModel });
    names.push(name);
  }
  const content = { members: names, weights: Object.fromEntries(ensemble.weights), rule: RULE };
  await writeAtomically(join(folder, "ensemble.json"), `${JSON.stringify(content, null, 2)}\n`);
  return names;
}
