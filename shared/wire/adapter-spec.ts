/** What is trained and its shape (AdapterSpec in proto/kindred/v1/adapter.proto) as a field of messages. */
import {
  BOTTLENECK_ACTIVATIONS,
  BOTTLENECK_KINDS,
  type BottleneckSettings,
  FULL,
  type LoraSettings,
} from "../adapters/settings.js";
import { finite, list, present, refuse, text, uint53, whole } from "./checks.js";
import { blob, type Field, listOf, real, struct } from "./fields.js";
import { MAX_MEMBERS, MAX_MODULES, MAX_NAME_LENGTH, MAX_RANK } from "./limits.js";
import type { AdapterSpec, TunedSpec, WeightedAdapter } from "./types.js";

/** As protobufjs decodes it: every field is there. */
interface AdapterMessage {
  readonly kind: string;
  readonly rank: number;
  readonly alpha: number;
  readonly modules: readonly string[];
  readonly dropout: number;
  readonly initSeed: string;
  readonly freezeA: boolean;
  readonly rslora: boolean;
  readonly reduction: number;
  readonly activation: string;
}

const ADAPTER_KINDS = ["lora", ...BOTTLENECK_KINDS].join(", ");

/** An adapter or all weights. */
export const tunedSpec: Field<TunedSpec> = {
  read: (name, value) => {
    const message = present(name, value) as AdapterMessage;
    const { kind, dropout } = message;
    if (!(dropout >= 0 && dropout < 1)) refuse(`${name}.dropout`, "at least 0 and below 1", dropout);
    const initSeed = uint53(`${name}.init_seed`, message.initSeed);
    const bottleneck = BOTTLENECK_KINDS.find((known) => known === kind);
    if (bottleneck !== undefined) return { ...readBottleneck(name, message, bottleneck), initSeed };
    if (kind === FULL.kind) return { ...readFull(name, message), initSeed };
    if (kind === "lora") return { ...readLora(name, message), initSeed };
    return refuse(`${name}.kind`, `${ADAPTER_KINDS}, ${FULL.kind}`, kind);
  },
  write: (spec) => ({
    ...spec,
    ...(spec.kind === "lora" ? { modules: [...spec.modules] } : {}),
    initSeed: String(spec.initSeed),
  }),
};

/** An adapter; all weights are refused. */
export const adapterSpec: Field<AdapterSpec> = {
  read: (name, value) => {
    const spec = tunedSpec.read(name, value);
    return spec.kind === "full" ? refuse(`${name}.kind`, ADAPTER_KINDS, spec.kind) : spec;
  },
  write: (spec) => tunedSpec.write(spec),
};

/** Values of ensemble members. */
export const memberBlobs = (min: number): Field<readonly WeightedAdapter["adapter"][]> =>
  listOf(blob, min, MAX_MEMBERS);

export const weightedAdapter: Field<WeightedAdapter> = struct({ adapter: blob, weight: real() });

/** Refuses values of fields that this kind does not have. */
function absent(name: string, message: AdapterMessage, fields: readonly (keyof typeof NOTHING)[]): void {
  const shown = { ...message, modules: message.modules.length };
  const needs = (field: string, none: unknown, got: unknown) =>
    got === none || refuse(`${name}.${field}`, `${JSON.stringify(none)} for kind ${message.kind}`, got);
  for (const field of fields) needs(NOTHING[field].name, NOTHING[field].none, shown[field]);
}

const NOTHING = {
  rank: { name: "rank", none: 0 },
  alpha: { name: "alpha", none: 0 },
  rslora: { name: "rslora", none: false },
  modules: { name: "length of modules", none: 0 },
  dropout: { name: "dropout", none: FULL.dropout },
  freezeA: { name: "freeze_a", none: FULL.freezeA },
  reduction: { name: "reduction", none: 0 },
  activation: { name: "activation", none: "" },
} as const;

function readBottleneck(name: string, message: AdapterMessage, kind: BottleneckSettings["kind"]): BottleneckSettings {
  absent(name, message, ["rank", "alpha", "rslora", "modules"]);
  const activation = BOTTLENECK_ACTIVATIONS.find((known) => known === message.activation);
  return {
    kind,
    reduction: finite(`${name}.reduction`, message.reduction, 1),
    activation: activation ?? refuse(`${name}.activation`, BOTTLENECK_ACTIVATIONS.join(", "), message.activation),
    dropout: message.dropout,
    freezeA: message.freezeA,
  };
}

function readFull(name: string, message: AdapterMessage): typeof FULL {
  absent(name, message, ["reduction", "activation", "rank", "alpha", "rslora", "modules", "dropout", "freezeA"]);
  return FULL;
}

function readLora(name: string, message: AdapterMessage): LoraSettings {
  absent(name, message, ["reduction", "activation"]);
  const modules = list(`${name}.modules`, message.modules, 0, MAX_MODULES, (field, module) =>
    text(field, module, 1, MAX_NAME_LENGTH),
  );
  if (new Set(modules).size !== modules.length) refuse(`${name}.modules`, "without repetition", modules.join(", "));
  return {
    kind: "lora",
    rank: whole(`${name}.rank`, message.rank, 1, MAX_RANK),
    alpha: finite(`${name}.alpha`, message.alpha, 0, true),
    modules,
    dropout: message.dropout,
    freezeA: message.freezeA,
    rslora: message.rslora,
  };
}
