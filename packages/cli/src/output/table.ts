import type { Output } from './output.js';

/** Rows under a head, as a table; tabs between cells where it is not for a terminal. Cells have to be clean. */
export async function table(
  out: Output,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<string> {
  if (!process.stdout.isTTY) return [head, ...rows].map((row) => row.join('\t')).join('\n');
  const { default: Table } = await import('cli-table3');
  const none = Object.fromEntries(
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
      .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'])
      .map((part) => [part, part === 'middle' ? '  ' : '']),
  );
  const drawn = new Table({
    chars: none,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  drawn.push(
    head.map((cell) => out.colors.dim(cell)),
    ...rows.map((row) => [...row]),
  );
  return drawn.toString();
}
