/**
 * Who must share a group and who must not: what such wishes mean taken together, and where they contradict each other. Serves the
 * check of a configuration, which knows names alone, and the grouping. It knows nothing of how groups are found.
 */

export interface GroupConstraints {
  /** Fewest and most clients a group may have; absent: no bound. */
  readonly minSize?: number | undefined;
  readonly maxSize?: number | undefined;
  /** Each list's clients share a group. */
  readonly together: readonly (readonly string[])[];
  /** No two of a list's clients share a group. */
  readonly apart: readonly (readonly string[])[];
}

/** Clients that must share a group, through others too: each list of two or more, in the order in which they are named. */
export function mergedLists(together: readonly (readonly string[])[]): string[][] {
  const of = new Map<string, string[]>();
  for (const names of together)
    for (const name of names) {
      const first = of.get(names[0]!) ?? [names[0]!];
      of.set(names[0]!, first);
      const own = of.get(name) ?? [name];
      if (own === first) continue;
      first.push(...own);
      for (const moved of own) of.set(moved, first);
    }
  return [...new Set(of.values())].filter((block) => block.length > 1);
}

/** One sentence on what cannot be met whatever the clients' data, naming the wishes; nothing where there is none. */
export function contradiction({ minSize, maxSize, together, apart }: GroupConstraints): string | undefined {
  if (minSize !== undefined && maxSize !== undefined && minSize > maxSize)
    return `minSize ${minSize} is above maxSize ${maxSize}`;
  for (const block of mergedLists(together)) {
    if (maxSize !== undefined && block.length > maxSize)
      return `together asks for ${block.length} clients in one group (${block.join(", ")}), maxSize allows ${maxSize}`;
    for (const names of apart) {
      const both = names.filter((name) => block.includes(name));
      if (both.length > 1)
        return `together and apart contradict each other: ${both[0]} and ${both[1]} must share a group (${block.join(", ")}) and must not`;
    }
  }
  return undefined;
}
