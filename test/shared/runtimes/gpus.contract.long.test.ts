/**
 * The contract of runtimes, on GPUs. A software Vulkan device will do for WebGPU (test/run.ts finds Chromium's): it takes half a
 * minute, most of it to compile shaders.
 */
import { CANDIDATES } from "../../../shared/runtimes/choose.js";
import { keepsContract } from "../../support/contract.js";

for (const candidate of CANDIDATES) {
  if (candidate.device !== "cpu" && candidate.device !== "wasm") await keepsContract(candidate);
}
