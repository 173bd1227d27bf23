/** Bounds that configurations, files and messages share. Each with the reason for its size. */

/** Clients of one run: memory and the affinity matrix grow with the square of their number. */
export const MAX_CLIENTS = 10_000;

/** Characters of a client's name: it goes into file names, tables and log lines. */
export const MAX_NAME_LENGTH = 200;
