/**
 * What may be trained, and what each kind may be told: the same for the configuration, the messages, the models and the folders.
 * It knows no values.
 */

export interface LoraSettings {
  readonly kind: "lora";
  readonly rank: number;
  /** The update is scaled by alpha / rank. */
  readonly alpha: number;
  /** Names of linears or their ends ("q_proj", "attn.c_proj"), as PEFT takes them; those of the attention where empty. */
  readonly modules: readonly string[];
  /** Share of a linear's inputs dropped while training. */
  readonly dropout: number;
  /** Train B alone: averages of updates are then exact (FFA-LoRA, Sun et al. 2024). */
  readonly freezeA: boolean;
  /** The update is scaled by alpha / sqrt(rank) instead (Kalajdzievski 2023). */
  readonly rslora: boolean;
}

/**
 * Bottleneck adapters: x + up(act(down(x))), with biases. `houlsby` (Houlsby et al. 2019): two a block, on what the attention and
 * what the feed-forward give, before the residual is added. `pfeiffer` (Pfeiffer et al. 2020): one a block, behind the
 * feed-forward, on the sum with the residual.
 */
export interface BottleneckSettings {
  readonly kind: (typeof BOTTLENECK_KINDS)[number];
  /** The bottleneck has hidden / reduction numbers, rounded down. At least 1. */
  readonly reduction: number;
  readonly activation: BottleneckActivation;
  /** Share of the adapter's output dropped while training. */
  readonly dropout: number;
  /** Train the way up alone (weight and bias), in which an adapter is linear: averages of updates are then exact. */
  readonly freezeA: boolean;
}

/**
 * Every weight of the model, as its difference to the base's. No adapter: nothing is sketched at it and no folder holds it; it
 * is what adapters are compared with. Its further settings are those that all kinds have.
 */
export interface FullSettings {
  readonly kind: "full";
  readonly dropout: 0;
  readonly freezeA: false;
}

export const FULL: FullSettings = { kind: "full", dropout: 0, freezeA: false };

export type AdapterSettings = LoraSettings | BottleneckSettings;

export type TunedSettings = AdapterSettings | FullSettings;

export const BOTTLENECK_KINDS = ["houlsby", "pfeiffer"] as const;

/** By AdapterHub's names, which are transformers': GELU is the exact one; `swish` is what AdapterHub's Houlsby has unless told. */
export const BOTTLENECK_ACTIVATIONS = ["relu", "gelu", "swish"] as const;
export type BottleneckActivation = (typeof BOTTLENECK_ACTIVATIONS)[number];

export function isBottleneck<T extends Pick<TunedSettings, "kind">>(
  settings: T,
): settings is Extract<T, Pick<BottleneckSettings, "kind">> {
  return BOTTLENECK_KINDS.some((kind) => kind === settings.kind);
}

/** Numbers of a bottleneck; 0 where the reduction leaves none. */
export function bottleneckWidth(hidden: number, reduction: number): number {
  return Math.floor(hidden / reduction);
}
