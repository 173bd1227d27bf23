/** Number of the first items that all lists, or all texts, have alike. @param lists at least one */
export function commonPrefix(lists: readonly ArrayLike<unknown>[]): number {
  const [first, ...others] = lists as [ArrayLike<unknown>, ...ArrayLike<unknown>[]];
  let length = 0;
  while (length < first.length && others.every((list) => length < list.length && list[length] === first[length]))
    length++;
  return length;
}
