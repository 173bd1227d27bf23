/**
 * The contract of runtimes, on GPUs. A software Vulkan device will do for WebGPU (test/run.ts finds Chromium's): it takes half a
 * minute for one model, most of it to compile shaders, so that WebGPU is given but one.
 */
import { CANDIDATES } from "../../../shared/runtimes/choose.js";
import { keepsContract, LLAMA } from "../../support/contract.js";

for (const candidate of CANDIDATES) {
  if (candidate.device === "cpu" || candidate.device === "wasm") continue;
  await keepsContract(candidate, candidate.device === "webgpu" ? [LLAMA] : undefined);
}
