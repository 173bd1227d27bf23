/** The embedded model: a llama of 0.6 million parameters with 64 tokens of context, for the demo, examples and trials. */
import { asset } from "../../shared/base/assets.js";

/** Its folder. */
export const DEMO_MODEL: string = asset("simulations", "demo", "model");
