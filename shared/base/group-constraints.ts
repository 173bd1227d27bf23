/**
 * Constraints on groups: clients that must share a group and clients that must not, and contradictions between them. Used by the check
 * of a configuration, which knows names alone, and by the grouping. It knows nothing of how groups are found.
 */

export interface GroupConstraints {
  /** Smallest and largest group, in clients. Absent: no bound. */
  readonly minSize?: number | undefined;
  readonly maxSize?: number | undefined;
  /** Lists of clients that share a group. */
  readonly together: readonly (readonly string[])[];
  /** Lists of clients of which no two share a group. */
  readonly apart: readonly (readonly string[])[];
}

/** Lists of two or more clients that must share a group, merged where they overlap, in the order of names. */
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

/** The contradiction between constraints, in one sentence that names them; undefined where there is no contradiction. */
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
