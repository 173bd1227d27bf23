/**
 * The kinds of adapters and their settings, as in the configuration, the messages, the models and the folders of adapters.
 */

export interface LoraSettings {
  readonly kind: "lora";
  readonly rank: number;
  /** The update is scaled by alpha / rank. */
  readonly alpha: number;
  /** Names of linears or their ends ("q_proj", "attn.c_proj"), as in PEFT. Empty: the attention's linears. */
  readonly modules: readonly string[];
  /** Probability that an input of a linear is dropped during training. */
  readonly dropout: number;
  /** Whether B alone is trained: averages of updates are then exact (FFA-LoRA, Sun et al. 2024). */
  readonly freezeA: boolean;
  /** Whether the update is scaled by alpha / sqrt(rank) instead (Kalajdzievski 2023). */
  readonly rslora: boolean;
}

/**
 * Bottleneck adapters: x + up(act(down(x))), with biases. `houlsby` (Houlsby et al. 2019): two per block, on the outputs of the
 * attention and of the feed-forward, before the residual is added. `pfeiffer` (Pfeiffer et al. 2020): one per block, after the
 * feed-forward, on the sum with the residual.
 */
export interface BottleneckSettings {
  readonly kind: (typeof BOTTLENECK_KINDS)[number];
  /** The bottleneck has hidden / reduction dimensions, rounded down. @minimum 1 */
  readonly reduction: number;
  readonly activation: BottleneckActivation;
  /** Probability that an element of the adapter's output is dropped during training. */
  readonly dropout: number;
  /** Whether the up projection alone (weight and bias) is trained, in which an adapter is linear: averages are then exact. */
  readonly freezeA: boolean;
}

/**
 * Every weight of the model, as its difference to the base model's: the baseline of adapters. It is not an adapter: it is not
 * sketched and not written as a folder. Its other settings are the ones that all kinds have.
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

/** AdapterHub's names, which are transformers'. GELU is exact; `swish` is the default of AdapterHub's Houlsby. */
export const BOTTLENECK_ACTIVATIONS = ["relu", "gelu", "swish"] as const;
export type BottleneckActivation = (typeof BOTTLENECK_ACTIVATIONS)[number];

/** Whether settings are of a bottleneck adapter. */
export function isBottleneck<T extends Pick<TunedSettings, "kind">>(
  settings: T,
): settings is Extract<T, Pick<BottleneckSettings, "kind">> {
  return BOTTLENECK_KINDS.some((kind) => kind === settings.kind);
}

/** Dimensions of a bottleneck; 0 where the reduction is larger than `hidden`. */
export function bottleneckWidth(hidden: number, reduction: number): number {
  return Math.floor(hidden / reduction);
}
