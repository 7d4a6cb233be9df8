/** Writes data to stdout and everything else to stderr; formats text, JSON, tables and progress for terminals. */
import pico from 'picocolors';
import type { Formatter } from 'picocolors/types.js';
import type { Problem } from './errors.js';

// Text for terminals. Stored text may contain control characters. `base/text.ts` of `@umbel/core` has the same list: this
// program cannot import it, because it loads the app's copy of core.

/** C0 and C1 controls except line feeds and tabs, other line separators, and bidirectional marks. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern searches for control characters
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Removes control characters that a terminal would execute. */
export function clean(text: string): string {
  return text.replaceAll(CONTROLS, '');
}

/** Removes control characters and joins lines to one. */
export function cleanLine(text: string): string {
  return clean(text)
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll('\t', ' ');
}

/** Returns the value as JSON, with all control characters escaped, including those that JSON allows. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null';
  return text.replaceAll(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Calls that messages of core recommend, and the commands that replace them. */
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

/** Replaces calls in a message of core with commands of this program. */
export function inCommands(text: string): string {
  return COMMANDS.reduce(
    (message, [call, command]) =>
      message.replaceAll(call, (_, id: unknown) =>
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

/** Version of the JSON documents; raised with incompatible changes. */
const VERSION = 1;

type Environment = Readonly<Record<string, string | undefined>>;

export interface Stream {
  readonly isTTY?: boolean;
  /** Width of a terminal. */
  readonly columns?: number;
  write(text: string): unknown;
}

export type Colors = Record<'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan', Formatter>;

/** Returns whether to write colours to the stream. `FORCE_COLOR` overrides `NO_COLOR` and `CI`. */
export function hasColors(stream: Stream, env: Environment): boolean {
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && !env.NO_COLOR && !env.CI && env.TERM !== 'dumb';
}

/** Returns whether the stream can show lines that change in place. */
export function isInteractive(stream: Stream, env: Environment): boolean {
  return stream.isTTY === true && !env.CI && env.TERM !== 'dumb';
}

export class Output {
  /** Colours for stdout. */
  readonly colors: Colors;
  /** Colours for stderr. */
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

  /** Whether to write JSON documents instead of text. */
  get isJson(): boolean {
    return this.#isJson;
  }

  /** Writes lines of data to stdout. The text may contain colours, so the caller cleans stored text first. */
  data(text: string): void {
    this.#stdout.write(`${text}\n`);
  }

  /** Writes a JSON document on one line to stdout. */
  document(kind: string, content: object): void {
    this.data(jsonText({ version: VERSION, kind, ...content }));
  }

  /** Writes a line to stderr. */
  note(text: string): void {
    this.status(undefined);
    this.#stderr.write(`${text}\n`);
  }

  /** Shows a line on stderr that the next one replaces; only on a terminal, cut to its width, without colours. */
  status(text: string | undefined): void {
    if (!this.isInteractive || (text === undefined && !this.#hasStatus)) return;
    const { columns = 80 } = this.#stderr;
    this.#stderr.write(`\r\u001b[2K${[...(text ?? '')].slice(0, columns - 1).join('')}`);
    this.#hasStatus = text !== undefined;
  }

  /** Writes a problem to stderr, as three lines or as a JSON document. */
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

// Progress on one line.

const WIDTH = 24;
const LONGEST = 100;

/** Returns a bar for counts (`done` of `total`) and percentages, else the value as JSON. */
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

/** Interval between progress lines where no line can change in place. */
const NOTE_EVERY_MS = 5000;

/**
 * Returns a function that shows the progress of a command: on a terminal as one changing line, otherwise as a line every five
 * seconds, and with `--json` not at all.
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

/** Returns rows below a head as a table, or with tabs between cells if stdout is no terminal. The caller cleans the cells. */
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

// Suggestions for misspelled names.

/** Returns `Did you mean …?` with similar names, or the list of all names. */
export function closest(text: string, names: readonly string[]): string {
  const similar = names.filter((name) => distance(text, name) <= Math.max(2, Math.floor(text.length / 4)));
  if (similar.length > 0) return `Did you mean ${similar.slice(0, 3).join(', ')}?`;
  if (names.length === 0) return 'There are none.';
  const more = names.length > 20 ? ` and ${names.length - 20} more` : '';
  return `Expected one of: ${names.slice(0, 20).join(', ')}${more}.`;
}

/** Returns the Levenshtein distance: the number of characters to change, insert or delete. */
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
