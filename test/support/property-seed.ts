/**
 * Loaded before every file of tests: properties are tried on the same examples in each run, so that a change is what makes them
 * fail. `KINDRED_PROPERTY_SEED` (an integer) tries others.
 */
import fc from "fast-check";

fc.configureGlobal({ seed: Number.parseInt(process.env.KINDRED_PROPERTY_SEED ?? "20261", 10) });
