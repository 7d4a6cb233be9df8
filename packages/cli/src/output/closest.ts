/** What somebody may have meant. */

/** `Did you mean …?`, or all that there is. */
export function closest(text: string, names: readonly string[]): string {
  const near = names.filter((name) => distance(text, name) <= Math.max(2, Math.floor(text.length / 4)));
  if (near.length > 0) return `Did you mean ${near.slice(0, 3).join(', ')}?`;
  if (names.length === 0) return 'It has no tasks.';
  const more = names.length > 20 ? ` and ${names.length - 20} more` : '';
  return `It has ${names.slice(0, 20).join(', ')}${more}.`;
}

/** The number of characters to change, put in or leave out. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, one] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const changed = (row[j] ?? 0) + (one === other ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
