/** Prints tables, facts and states as text; formats and parses times; masks sensitive inputs. */

import type { App, StepWait } from '@umbel/core';
import type { coreOf } from '@umbel/core/internal';
import { type Command, InvalidArgumentError } from 'commander';
import { duration, moment, plainFlag } from './flags.js';
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

/** Returns the state in its colour; custom states of a task have none. */
export function colorState(state: string, colors: Colors): string {
  const name = Object.hasOwn(COLOR_OF, state) ? COLOR_OF[state] : undefined;
  const text = cleanLine(state);
  return name === undefined ? text : colors[name](text);
}

/** Prints rows below a head; without rows, prints `none` to stderr. Cleans the cells, except those with colours. */
export async function printTable(
  out: Output,
  head: readonly string[],
  rows: readonly (readonly (string | CleanedText)[])[],
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

/** Cleaned text that may contain colours. */
export interface CleanedText {
  readonly text: string;
}

export function stateCell(state: string, { colors }: Output): CleanedText {
  return { text: colorState(state, colors) };
}

/** Prints facts, one per line, without empty ones. Further lines of a value are indented. */
export function printFacts(
  out: Output,
  facts: readonly (readonly [name: string, value: string | CleanedText])[],
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

const MAX_LENGTH = 60;

/** Returns the beginning of a text on one line. */
export function shortText(text: string, longest = MAX_LENGTH): string {
  const line = cleanLine(text);
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

/** Returns a value as JSON; '' for undefined. */
export function valueText(value: unknown, indent?: number): string {
  return value === undefined ? '' : jsonText(value, indent);
}

/** Formats a record as `a=1 b=2`. */
export function pairs(record: object): string {
  return Object.entries(record)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
}

// Times: parsing and formatting.

/** The current time: of this machine, or of the store once an app is open. */
let clock: () => number = () => Date.now();

/** Sets the clock for parsing and formatting times. */
export function setClock(now: () => number): void {
  clock = now;
}

export function currentTime(): number {
  return clock();
}

/** A time before now from the command line. It depends on the clock of the app, which is opened after parsing. */
class TimeAgo extends Date {
  readonly ms: number;

  constructor(ms: number) {
    super(currentTime() - ms);
    this.ms = ms;
  }
}

/** Resolves a parsed time by the clock of the open app. */
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

/** Parses a time, or a time before now such as `'2h'`. Resolve the result with `momentOf`. */
export function pastMoment(text: string): Date {
  if (/^\d{4}-/.test(text)) return moment(text);
  const ms = milliseconds(text);
  if (ms === undefined)
    throw new InvalidArgumentError(
      "Expected a time such as '2030-01-31T08:00:00Z', or a time before now such as '2h'.",
    );
  return new TimeAgo(ms);
}

/** Returns the milliseconds of a duration with a unit; undefined for other text. */
export function milliseconds(text: string): number | undefined {
  const [, value, unit = ''] = /^(\d+(?:\.\d+)?)\s?(ms|s|m|h|d|w)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return value === undefined || factor === undefined ? undefined : Number(value) * factor;
}

/** Parses an interval from 100 ms to one day; returns milliseconds. */
export function interval(text: string): number {
  const ms = milliseconds(duration(text)) ?? 0;
  if (ms >= 100 && ms <= 86_400_000) return ms;
  throw new InvalidArgumentError("Expected a duration from '100ms' to '1d'.");
}

/** Returns `3m05s ago` or `in 2h07m`; '' for undefined. */
export function relative(date: Date | undefined, now = currentTime()): string {
  if (date === undefined) return '';
  const ms = date.getTime() - now;
  return ms > 0 ? `in ${longDuration(ms)}` : `${longDuration(-ms)} ago`;
}

/** Returns a time from the store; undefined for 1970 and invalid dates, which stand for unreadable times. */
export function readableTime(date: Date | undefined): Date | undefined {
  return date !== undefined && date.getTime() > 0 ? date : undefined;
}

/** Formats a duration like `shortDuration`, with days from two days on. */
export function longDuration(ms: number): string {
  const days = Math.floor(ms / 86_400_000);
  return days < 2 ? shortDuration(ms) : `${days}d${Math.floor((ms % 86_400_000) / 3_600_000)}h`;
}

/** Returns the ISO time with the relative time in parentheses; '' for undefined. */
export function exactTime(date: Date | undefined): string {
  return date === undefined ? '' : `${date.toISOString()} (${relative(date)})`;
}

/** Returns the words for a step that waits: its label, the key of its signal, and the moment at which it ends. */
export function waitWords({ label, until, signal }: Pick<StepWait, 'label' | 'until' | 'signal'>): string {
  return [
    label,
    ...(signal?.key === undefined ? [] : [`key ${signal.key}`]),
    ...(until === undefined ? [] : [`until ${exactTime(until)}`]),
  ].join(', ');
}

export function byteSize(bytes: number): string {
  const mega = bytes / 1_048_576;
  return mega < 1024 ? `${Math.round(mega)} MB` : `${(mega / 1024).toFixed(1)} GB`;
}

// Masks sensitive values in printed inputs, because users share output and store JSON in files.

export interface UnmaskedFlags {
  readonly unmasked?: boolean;
}

export function unmaskedFlag(command: Command): void {
  command.addOption(plainFlag('--unmasked', 'Print sensitive values of inputs unmasked'));
}

/** Returns the input of a task's job for printing. */
type MaskInput = (task: string, input: unknown) => unknown;

/**
 * Masks inputs by the `sensitive` keys of their tasks and of the app. Only the app's code has these keys: without it, or for a
 * task that it does not define, prints one note to stderr about what is not masked.
 */
export function createInputMasker(
  { app, isNamed }: { readonly app: App; readonly isNamed: boolean },
  { unmasked = false }: UnmaskedFlags,
  out: Output,
): MaskInput {
  // Every app is its core at run time; an app of an earlier version has no masking.
  const core = app as unknown as Partial<ReturnType<typeof coreOf>>;
  const noted = new Set<string>();
  const note = (text: string) => {
    if (noted.has(text)) return;
    noted.add(text);
    out.note(text);
  };
  return (task, input) => {
    if (unmasked || input === undefined) return input;
    if (isNamed || core.mask === undefined) {
      note("Sensitive values are not masked: that requires the app's code (--app).");
      return input;
    }
    if (core.measured?.hasTask(task) === false)
      note(
        "Some tasks are not in the app's code: in their inputs, only the sensitive keys of the app are masked.",
      );
    return core.mask(task, input);
  };
}
