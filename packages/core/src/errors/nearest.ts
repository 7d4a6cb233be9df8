/** The name among `names` that was probably meant: one that differs in a letter or two. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  const most = name.length < 4 ? 1 : 2;
  let found: { name: string; distance: number } | undefined;
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) > most) continue;
    const distance = distanceOf(name.toLowerCase(), candidate.toLowerCase());
    if (distance <= most && distance < (found?.distance ?? Number.POSITIVE_INFINITY))
      found = { name: candidate, distance };
  }
  return found?.name;
}

/** Letters to add, drop, replace, or swap with their neighbour, to make one text of the other. */
function distanceOf(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      next.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (next[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    before = last;
    last = next;
  }
  return last[other.length] ?? 0;
}
