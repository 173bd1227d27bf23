/** The contract of runtimes on the processor, with the models that the unit test leaves out. */
import { CANDIDATES } from "../../../shared/runtimes/choose.js";
import { GPT2, keepsContract, LLAMA, MODELS, NF4 } from "../../support/contract.js";

const further = MODELS.filter((model) => ![LLAMA, GPT2, NF4].includes(model));
for (const candidate of CANDIDATES) {
  const onProcessor = candidate.device === "cpu" || candidate.device === "wasm";
  if (onProcessor && candidate.name !== "onnx-cpu") await keepsContract(candidate, further);
}
