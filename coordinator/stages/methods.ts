/** The ways of grouping, by name; alone in its file so that a command line can name them without loading them. */

/** kindred: what the estimator judges best; cosine: of the clients' mean sketches; the others see the affinities alone. */
export const METHODS = ["kindred", "sdp", "spectral", "cocluster", "agglomerative", "cosine", "random"] as const;
export type GroupingMethod = (typeof METHODS)[number];
