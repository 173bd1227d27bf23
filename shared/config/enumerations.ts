/**
 * The values that an option with a closed list may have, one list per option. The schema, the code that acts on the value and
 * the command line share it. Knows nothing but the words: it loads nothing, so that a command line can name them at once.
 */

/** Whether rows end with the model's end-of-text token. auto: those with a completion and no choices. */
export const END_OF_TEXT = ["auto", true, false] as const;
export type EndOfText = (typeof END_OF_TEXT)[number];

/** What a report compares, in the order of its tables. `kindred` is the whole method. */
export const METHODS = ["base", "shared", "local", "full", "kindred"] as const;
export type MethodName = (typeof METHODS)[number];

/** Methods that a run may do beside Kindred's own. */
export const COMPARED = ["base", "shared", "local", "full"] as const satisfies readonly MethodName[];

/**
 * Ways of grouping that a configuration may name. kindred: what the estimator judges best; cosine: of the clients' mean
 * sketches; the others see the affinities alone.
 */
export const GROUPINGS = ["kindred", "spectral", "cocluster", "agglomerative", "cosine", "random"] as const;

/**
 * How subsets of clients are drawn:
 * - balanced: least covered pairs and least used clients first, ties by chance, so that all T_ij are means over about as many
 *   subsets.
 * - uniform: each subset drawn without regard to the others, as in the paper; where pairs are left out, a few balanced ones more.
 * - pairs: all pairs, each once. n (n - 1) / 2 subsets.
 */
export const DESIGNS = ["balanced", "uniform", "pairs"] as const;
export type Design = (typeof DESIGNS)[number];

/**
 * What a client counts for in a subset, so that large clients do not drown small ones:
 * - none: its examples, as in training.
 * - down: its examples, but no more than the median client has.
 * - up: as many examples as the largest client has, as if its rows were taken again and again. N_S grows, so lambda_S falls.
 */
export const BALANCES = ["none", "down", "up"] as const;
export type Balance = (typeof BALANCES)[number];
