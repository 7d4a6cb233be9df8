/** Tables, facts and states, for people. */
import type { Colors, Output } from '../output/output.js';
import { table } from '../output/table.js';
import { clean, cleanLine, jsonText } from '../output/text.js';

const COLOR_OF: Readonly<Record<string, keyof Colors>> = {
  completed: 'green',
  online: 'green',
  active: 'cyan',
  failed: 'red',
  missing: 'red',
  broken: 'red',
  expired: 'yellow',
  revoked: 'yellow',
  paused: 'yellow',
  closing: 'yellow',
  unstored: 'yellow',
  skipped: 'dim',
  pending: 'dim',
  ended: 'dim',
};

/** A state in its colour; states of a task's own have none. */
export function painted(state: string, colors: Colors): string {
  const name = Object.hasOwn(COLOR_OF, state) ? COLOR_OF[state] : undefined;
  const text = cleanLine(state);
  return name === undefined ? text : colors[name](text);
}

/** Rows under a head; without any, `none` on stderr. The cells are cleaned here, but for those that hold colours. */
export async function printTable(
  out: Output,
  head: readonly string[],
  rows: readonly (readonly (string | Painted)[])[],
  none: string,
): Promise<void> {
  if (rows.length === 0) {
    out.note(none);
    return;
  }
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'string' ? cleanLine(cell) : cell.text)),
  );
  out.data(await table(out, head, cells));
}

/** Text that is clean, and may hold colours. */
export interface Painted {
  readonly text: string;
}

export function stateCell(state: string, { colors }: Output): Painted {
  return { text: painted(state, colors) };
}

/** What is known of one thing, a line each; what is not known is left out. Values of several lines are set in. */
export function printFacts(
  out: Output,
  facts: readonly (readonly [name: string, value: string | Painted])[],
): void {
  const shown = facts.filter(([, value]) => value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  for (const [name, value] of shown) {
    const text = typeof value === 'string' ? clean(value).trimEnd() : value.text;
    const lines = text.split('\n');
    const first = out.colors.dim(name.padEnd(width));
    out.data(
      [`${first}  ${lines[0]}`, ...lines.slice(1).map((line) => `${' '.repeat(width)}  ${line}`)].join('\n'),
    );
  }
}

const LONGEST = 60;

/** The beginning of a text, on one line. */
export function shortText(text: string, longest = LONGEST): string {
  const line = cleanLine(text);
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

/** A value as JSON; nothing where there is none. */
export function valueText(value: unknown, indent?: number): string {
  return value === undefined ? '' : jsonText(value, indent);
}

/** `a=1 b=2`. */
export function pairs(record: object): string {
  return Object.entries(record)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
}
