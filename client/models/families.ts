/**
 * The table of supported families: `model_type` of a config.json -> the function that reads the configuration. `defineFamily` adds a
 * user's own. No other code asks for a model's family.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief } from "../../shared/base/json.js";
import { type Architecture, linearShape } from "./architecture.js";
import { gpt2 } from "./gpt2.js";
import { gptj } from "./gptj.js";
import { llama, mistral, qwen2 } from "./llama.js";
import { gptNeox } from "./neox.js";

/** A family of models: configurations with one `model_type`. */
export interface Family {
  /** The value of config.json's field `model_type`: "llama". */
  readonly modelType: string;
  /**
   * Reads a configuration. Its fields come from a file and are not checked yet: `Fields` reads and checks them.
   * @param json config.json's object
   * @param file its path, for messages
   * @throws {KindredError} `unsupported` or `invalid_model`, naming file and field
   */
  read(json: Readonly<Record<string, unknown>>, file: string): Architecture;
}

const FAMILIES = new Map<string, Family>();

/**
 * Adds a family, for this process: models of its `model_type` can then be opened wherever a model is asked for.
 * @throws {KindredError} `name_taken` for a `model_type` that has a family; `invalid_option` for a wrong type
 */
export function defineFamily(family: Family): void {
  const { modelType } = family;
  if (typeof modelType !== "string" || modelType === "") {
    throw new KindredError("invalid_option", `defineFamily.modelType: must be a text, got ${brief(modelType)}`);
  }
  if (typeof family.read !== "function") {
    throw new KindredError("invalid_option", `defineFamily(${brief(modelType)}).read: must be a function`);
  }
  if (FAMILIES.has(modelType)) {
    throw new KindredError(
      "name_taken",
      `defineFamily.modelType: ${brief(modelType)} has a family; choose another name`,
      {
        modelType,
      },
    );
  }
  FAMILIES.set(modelType, family);
}

defineFamily({ modelType: "gpt2", read: gpt2 });
defineFamily({ modelType: "gpt_neox", read: gptNeox });
defineFamily({ modelType: "gptj", read: gptj });
defineFamily({ modelType: "llama", read: llama });
defineFamily({ modelType: "mistral", read: mistral });
defineFamily({ modelType: "qwen2", read: qwen2 });

/** Each `model_type` that can be read. */
export function supportedModelTypes(): string[] {
  return [...FAMILIES.keys()];
}

/**
 * The architecture that a configuration describes.
 * @throws {KindredError} `unsupported` or `invalid_model`, naming file and field; `invalid_option` where the family's author gives
 *   parts that contradict each other
 */
export function readArchitecture(json: Readonly<Record<string, unknown>>, file = "config.json"): Architecture {
  const type = json.model_type;
  const family = typeof type === "string" ? FAMILIES.get(type) : undefined;
  if (family === undefined) {
    throw new KindredError(
      "unsupported",
      `${file}: model_type ${brief(type)} is not supported (supported: ${supportedModelTypes().join(", ")})`,
      { file },
    );
  }
  const architecture = family.read(json, file);
  checkConsistent(architecture, family.modelType);
  return architecture;
}

/** Refuses an architecture whose parts do not fit together: later, the mistake would be a missing tensor or a wrong gradient. */
function checkConsistent(architecture: Architecture, modelType: string): void {
  const { layers, blocks, linears, weights, attentionModules } = architecture;
  const fail = (message: string): never => {
    throw new KindredError("invalid_option", `defineFamily(${brief(modelType)}).read: ${message}`);
  };
  if (blocks.length !== layers) fail(`blocks names ${blocks.length} layers; expected ${layers}, as layers says`);
  const names = new Set(linears.map(({ name }) => name));
  if (names.size !== linears.length) fail("linears names a linear twice");
  for (const linear of linears) {
    const weight = `${linear.name}.weight`;
    const want = linearShape(linear);
    const got = weights.get(weight);
    if (got?.length !== 2 || got[0] !== want[0] || got[1] !== want[1]) {
      fail(`weights has ${weight} as ${brief(got)}; expected ${brief(want)}, as linears says`);
    }
    if (linear.bias && !weights.has(`${linear.name}.bias`))
      fail(`weights lacks ${linear.name}.bias; linears says bias`);
    if (!names.has(linear.inputGroup))
      fail(`linear ${linear.name} has inputGroup ${linear.inputGroup}; expected a name in linears`);
  }
  for (const module of attentionModules) {
    const found = linears.some(({ name }) => name === module || name.endsWith(`.${module}`));
    if (!found) fail(`attentionModules names ${brief(module)}; expected the end of a linear's name`);
  }
}
