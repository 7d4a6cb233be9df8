/** Tables, facts and states, for people. */

import type { App } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import { type Command, InvalidArgumentError } from 'commander';
import { duration, moment, ownFlag } from './flags.js';
import { type Colors, clean, cleanLine, jsonText, type Output, shortDuration, table } from './output.js';

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

// Moments as they are typed and shown.

/** What time it is: by this machine, and by the store of an app once one is open. */
let clock: () => number = () => Date.now();

/** From now on, moments are computed and shown by this clock. */
export function setClock(now: () => number): void {
  clock = now;
}

export function currentTime(): number {
  return clock();
}

/** A time before now, as it was typed: which moment that is depends on the clock of an app that is opened later. */
class TimeAgo extends Date {
  readonly ms: number;

  constructor(ms: number) {
    super(currentTime() - ms);
    this.ms = ms;
  }
}

/** The moment that was typed, by the clock of the app that is open. */
export function momentOf(typed: Date): Date {
  return typed instanceof TimeAgo ? new Date(currentTime() - typed.ms) : typed;
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A moment as it is, or as a time before now: `'2h'`. To be read with `momentOf`. */
export function pastMoment(text: string): Date {
  if (/^\d{4}-/.test(text)) return moment(text);
  const ms = milliseconds(text);
  if (ms === undefined)
    throw new InvalidArgumentError("Expected a moment, '2030-01-31T08:00:00Z', or a time before now, '2h'.");
  return new TimeAgo(ms);
}

/** A time with its unit, in milliseconds. */
export function milliseconds(text: string): number | undefined {
  const [, value, unit = ''] = /^(\d+(?:\.\d+)?)\s?(ms|s|m|h|d|w)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return value === undefined || factor === undefined ? undefined : Number(value) * factor;
}

/** At least so long: `'500ms'`. */
export function interval(text: string): number {
  const ms = milliseconds(duration(text)) ?? 0;
  if (ms >= 100 && ms <= 86_400_000) return ms;
  throw new InvalidArgumentError("Expected a time from '100ms' to '1d'.");
}

/** `3m05s ago`, `in 2h07m`; nothing for what has not been. */
export function relative(date: Date | undefined, now = currentTime()): string {
  if (date === undefined) return '';
  const ms = date.getTime() - now;
  return ms > 0 ? `in ${longDuration(ms)}` : `${longDuration(-ms)} ago`;
}

/** A moment from the store; 1970 and what is no moment stand for one that cannot be read. */
export function known(date: Date | undefined): Date | undefined {
  return date !== undefined && date.getTime() > 0 ? date : undefined;
}

/** With days, where hours would be many. */
export function longDuration(ms: number): string {
  const days = Math.floor(ms / 86_400_000);
  return days < 2 ? shortDuration(ms) : `${days}d${Math.floor((ms % 86_400_000) / 3_600_000)}h`;
}

/** Both where it can be read at once, and where it stands exactly. */
export function exact(date: Date | undefined): string {
  return date === undefined ? '' : `${date.toISOString()} (${relative(date)})`;
}

export function byteSize(bytes: number): string {
  const mega = bytes / 1_048_576;
  return mega < 1024 ? `${Math.round(mega)} MB` : `${(mega / 1024).toFixed(1)} GB`;
}

// Masks what is sensitive in inputs that commands print: people share what they see, and JSON goes into files.

export interface UnmaskedFlags {
  readonly unmasked?: boolean;
}

export function unmaskedFlag(command: Command): void {
  command.addOption(ownFlag('--unmasked', 'print sensitive values of inputs as they are'));
}

/** An input of a task's job, as it is to be printed. */
type Masked = (task: string, input: unknown) => unknown;

/**
 * Masks inputs by the `sensitive` keys of their tasks and of the app. Only the app's code has these: without it, or for a
 * task that it does not define, a line on stderr says once what is not masked.
 */
export function maskedInputs(
  { app, isNamed }: { readonly app: App; readonly isNamed: boolean },
  { unmasked = false }: UnmaskedFlags,
  out: Output,
): Masked {
  // Every app is its core at run time; one of an earlier version masks nothing.
  const core = app as unknown as Partial<ReturnType<typeof coreOf>>;
  const noted = new Set<string>();
  const note = (text: string) => {
    if (noted.has(text)) return;
    noted.add(text);
    out.note(text);
  };
  return (task, input) => {
    if (unmasked || input === undefined) return input;
    if (isNamed || core.masked === undefined) {
      note("Sensitive values are not masked: only the app's code (--app) knows which they are.");
      return input;
    }
    if (core.measured?.hasTask(task) === false)
      note(
        "Some tasks are not in the app's code: of their inputs only the app's own sensitive keys are masked.",
      );
    return core.masked(task, input);
  };
}
