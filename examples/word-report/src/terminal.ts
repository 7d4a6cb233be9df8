/** What people see: a progress bar, tables and notes. Plain text where there is no terminal; `NO_COLOR` is honoured. */
import { styleText } from 'node:util';
import { explain } from './errors.js';

type Format = Parameters<typeof styleText>[0];

const REDRAW_MS = 100;
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE = '\r\x1b[2K';

export interface ProgressOptions {
  readonly total: number;
  /** How many are done, asked for at each drawing. */
  readonly done: () => number;
  /** What is counted: `tasks`. */
  readonly label: string;
}

/** Draws a bar on standard error, where that is a terminal, until `work` has ended. */
export async function withProgress<Value>(
  { total, done, label }: ProgressOptions,
  work: () => Promise<Value>,
): Promise<Value> {
  const terminal = process.stderr;
  if (!isInteractive(terminal)) return work();
  const draw = () => {
    const columns = terminal.columns || 80; // some pseudo-terminals do not know
    const text = ` ${number(done())} of ${number(total)} ${label}`;
    const width = Math.max(0, Math.min(40, columns - text.length - 1));
    const filled = Math.min(width, Math.round((width * done()) / total));
    const [full, empty] = ['█'.repeat(filled), '░'.repeat(width - filled)];
    terminal.write(CLEAR_LINE + paint('green', full, terminal) + paint('dim', empty, terminal) + text);
  };
  const remove = () => void terminal.write(CLEAR_LINE + SHOW_CURSOR);
  process.once('exit', remove);
  terminal.write(HIDE_CURSOR);
  draw();
  const timer = setInterval(draw, REDRAW_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    process.off('exit', remove);
    remove();
  }
}

/** Rows below a heading; every column but the first is numbers, and stands to the right. */
export function table(heading: readonly string[], rows: readonly (readonly [string, ...number[]])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? number(cell) : printable(cell))),
  );
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return [paint('bold', line(heading), process.stdout), ...cells.map(line)].join('\n');
}

/** Tells the error on standard error, with `--verbose` in full. Gives the exit code for it. */
export function report(error: unknown): number {
  const { code, message } = explain(error);
  note(message);
  if (process.argv.includes('--verbose')) console.error(error);
  return code;
}

/** Lines for people, on standard error: standard output is for what the program gives. */
export function note(text: string): void {
  const overBar = isInteractive(process.stderr) ? CLEAR_LINE : '';
  console.error(overBar + text.split('\n').map(printable).join('\n'));
}

/** The text in that format, where the stream is a terminal that shows colours. */
function paint(format: Format, text: string, stream: NodeJS.WriteStream): string {
  return isInteractive(stream) && !process.env.NO_COLOR ? styleText(format, text) : text;
}

/** The text with control characters, which a file name may hold, made visible: they could steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** `1 document`, `2,000 documents`. */
export function counted(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}

export function number(value: number): string {
  return value.toLocaleString('en');
}

function isInteractive(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && process.env.TERM !== 'dumb';
}
