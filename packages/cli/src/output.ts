/** Where a command writes: data on stdout, everything else on stderr. */
import pico from 'picocolors';
import type { Formatter } from 'picocolors/types.js';
import type { Problem } from './errors.js';

/**
 * Text for terminals: what is stored may hold anything. The characters are those that `@umbel/core` escapes in logs and
 * messages (`base/text.ts`), which this program does not load: it loads the app's copy.
 */

/** C0 and C1 controls but line feeds and tabs, other line separators, and marks that turn the direction of text round. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text without characters that a terminal would obey. */
export function clean(text: string): string {
  return text.replaceAll(CONTROLS, '');
}

/** The same on one line. */
export function cleanLine(text: string): string {
  return clean(text)
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll('\t', ' ');
}

/** The value as JSON that a terminal may show: what JSON leaves as it is and a terminal would obey is escaped. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null';
  return text.replaceAll(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What `core` says a program is to call, as the command that does it here. */
const COMMANDS: readonly (readonly [RegExp, string])[] = [
  [/app\.result\('([^']*)'\)\.resume\(\)/g, 'umbel runs resume $1'],
  [/app\.result\(id\)\.resume\(\)/g, 'umbel runs resume'],
  [/app\.deadLetters\.replay\('([^']*)', \{ input \}\)/g, 'umbel dead replay $1 --input'],
  [/app\.deadLetters\.replay\b(?:\('([^']*)'\))?/g, 'umbel dead replay $1'],
  [/app\.jobs\.list\(\{ state: '(\w+)' \}\)/g, 'umbel jobs list --state $1'],
  [/app\.inspect\.queues\(\)/g, 'umbel inspect queues'],
  [/app\.worker\(\{ queues: \['([^']*)'\] \}\)/g, 'umbel worker -q $1'],
  [/app\.worker\(\{ allowEviction: true \}\)/g, 'umbel worker --allow-eviction'],
  [/app\.repair\(\)/g, 'the next repair of a running worker'],
];

/** A message of `core` for people at a command line, who have commands and no program. */
export function inCommands(text: string): string {
  return COMMANDS.reduce(
    (said, [call, command]) =>
      said.replaceAll(call, (_, id: unknown) =>
        command.replace('$1', () => (typeof id === 'string' ? id : '')).trimEnd(),
      ),
    text,
  );
}

/** `850ms`, `1.2s`, `3m05s`, `2h07m`. */
export function shortDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
}

/** `1 job`, `2 jobs`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Of every JSON document; raised when a shape changes so that a reader would notice. */
const VERSION = 1;

type Environment = Readonly<Record<string, string | undefined>>;

export interface Stream {
  readonly isTTY?: boolean;
  /** Of a terminal. */
  readonly columns?: number;
  write(text: string): unknown;
}

export type Colors = Record<'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan', Formatter>;

/** Whether a stream is a terminal that wants colours. `FORCE_COLOR` wins over `NO_COLOR` and `CI`. */
export function hasColors(stream: Stream, env: Environment): boolean {
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && !env.NO_COLOR && !env.CI && env.TERM !== 'dumb';
}

/** Whether lines that change in place can be shown. */
export function isInteractive(stream: Stream, env: Environment): boolean {
  return stream.isTTY === true && !env.CI && env.TERM !== 'dumb';
}

export class Output {
  /** Of stdout. */
  readonly colors: Colors;
  /** Of stderr. */
  readonly noteColors: Colors;
  readonly isInteractive: boolean;
  readonly #stdout: Stream;
  readonly #stderr: Stream;
  readonly #isJson: boolean;
  #hasStatus = false;

  constructor(
    { isJson = false }: { isJson?: boolean } = {},
    stdout: Stream = process.stdout,
    stderr: Stream = process.stderr,
    env: Environment = process.env,
  ) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#isJson = isJson;
    this.colors = pico.createColors(hasColors(stdout, env));
    this.noteColors = pico.createColors(hasColors(stderr, env));
    this.isInteractive = isInteractive(stderr, env);
  }

  /** Whether documents are wanted and not text for people. */
  get isJson(): boolean {
    return this.#isJson;
  }

  /** A line, or lines, of data. May hold colours: what is stored has to be cleaned before. */
  data(text: string): void {
    this.#stdout.write(`${text}\n`);
  }

  /** A document of `--json`, on one line. */
  document(kind: string, content: object): void {
    this.data(jsonText({ version: VERSION, kind, ...content }));
  }

  /** A line for people. */
  note(text: string): void {
    this.status(undefined);
    this.#stderr.write(`${text}\n`);
  }

  /** A line that is written over by the next one; on a terminal only, and as far as it fits. Without colours. */
  status(text: string | undefined): void {
    if (!this.isInteractive || (text === undefined && !this.#hasStatus)) return;
    const { columns = 80 } = this.#stderr;
    this.#stderr.write(`\r\u001b[2K${[...(text ?? '')].slice(0, columns - 1).join('')}`);
    this.#hasStatus = text !== undefined;
  }

  /** What went wrong: in three lines, or as a document on stderr. */
  problem({ exitCode, what, why, hint }: Problem, stack?: string): void {
    this.status(undefined);
    if (this.#isJson) {
      const error = { what, ...(why !== undefined && { why }), ...(hint !== undefined && { hint }) };
      this.#stderr.write(
        `${jsonText({ version: VERSION, kind: 'error', exitCode, ...error, ...(stack && { stack }) })}\n`,
      );
      return;
    }
    const { red, dim } = this.noteColors;
    const more = [
      ...(why === undefined ? [] : [clean(why).trimEnd().replaceAll('\n', '\n  ')]),
      ...(hint === undefined ? [] : [dim(cleanLine(hint))]),
    ];
    this.#stderr.write(`${red('error:')} ${cleanLine(what)}\n${more.map((line) => `  ${line}\n`).join('')}`);
    if (stack !== undefined) this.#stderr.write(`${dim(clean(stack))}\n`);
  }
}

// How far something is, on one line.

const WIDTH = 24;
const LONGEST = 100;

/** A bar for counts (`done` of `total`) and percentages, else the value itself. */
export function progressLine(value: unknown): string {
  const { done, total, percent, failed } = fields(value);
  if (done !== undefined && total !== undefined) {
    const failures = failed ? `, ${failed} failed` : '';
    return `${bar(total === 0 ? 0 : done / total)} ${done}/${total} done${failures}`;
  }
  if (percent !== undefined) return `${bar(percent / 100)} ${Math.round(percent)}%`;
  const text = cleanLine(jsonText(value));
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** Where no line can change in place, from one line to the next. */
const NOTE_EVERY_MS = 5000;

/**
 * Shows how far a command is with a subject: on a terminal on one line that changes, else, with text for people, on a line
 * every five seconds.
 */
export function progressShown(
  out: Output,
  subject: string,
  now: () => number = () => performance.now(),
): (progress: { readonly done: number; readonly total: number }) => void {
  let shownAt = now();
  return ({ done, total }) => {
    const line = cleanLine(`${subject}: ${progressLine({ done, total })}`);
    if (out.isInteractive) out.status(line);
    else if (!out.isJson && now() - shownAt >= NOTE_EVERY_MS) {
      shownAt = now();
      out.note(line);
    }
  };
}

function fields(value: unknown): Readonly<Record<string, number | undefined>> {
  if (typeof value === 'number') return value >= 0 && value <= 100 ? { percent: value } : {};
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, each]) => typeof each === 'number'));
}

function bar(part: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
}

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
