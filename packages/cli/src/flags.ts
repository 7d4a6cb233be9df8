/** Flags that several commands share, and how a flag is found in the environment. */

import type { SendOptions } from '@umbel/core';
import { type Command, InvalidArgumentError, Option } from 'commander';

// Text of flags, environment and configuration as values.

export type Concurrency = number | { readonly min: number; readonly max: number };

/** Queues to serve, and the concurrency of those that name one. */
export type QueueList = readonly { readonly queue: string; readonly concurrency?: Concurrency }[];

const DURATION = /^\d+(?:\.\d+)?\s?(?:ms|s|m|h|d|w)$/;

/** A reader of whole numbers within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number${upTo}.`);
  };
}

/** `'30s'`, `'10m'`; a number without a unit could mean anything, unless it is 0. */
export function duration(text: string): string {
  if (text === '0' || DURATION.test(text)) return text;
  throw new InvalidArgumentError("Expected a time with its unit, such as '500ms', '30s', '10m' or '1h'.");
}

/** The same, or `false` for none. */
export function durationOrNone(text: string): string | false {
  return text === 'none' ? false : duration(text);
}

/** `'20'`, or `'5..50'` for bounds. */
export function concurrency(text: string): Concurrency {
  const bounds = /^(\d+)\.\.(\d+)$/.exec(text);
  const fail = () => new InvalidArgumentError("Expected a number such as '20', or bounds such as '5..50'.");
  if (bounds === null) {
    if (!/^[1-9]\d*$/.test(text)) throw fail();
    return Number(text);
  }
  const [min, max] = [Number(bounds[1]), Number(bounds[2])];
  if (min < 1 || max < min) throw fail();
  return { min, max };
}

/** `'default,email=20,reports=1..4'`; given several times, the lists add up. */
export function queueList(text: string, before: QueueList = []): QueueList {
  const parts = text.split(',').map((part) => part.trim());
  const own = parts.map((part) => {
    const [queue = '', count, ...more] = part.split('=');
    if (queue === '' || more.length > 0)
      throw new InvalidArgumentError("Expected names such as 'default,email', or 'email=20,default'.");
    return { queue, ...(count !== undefined && { concurrency: concurrency(count) }) };
  });
  return [...before, ...own];
}

/** `'auto'` or a number. */
export function processCount(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : integer(1, 1024)(text);
}

/** A moment as ISO 8601 text; with a time it needs its zone. */
export function moment(text: string): Date {
  const isClear = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const date = new Date(text);
  if (isClear && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError("Expected a moment with its zone, such as '2030-01-31T08:00:00Z'.");
}

/** `'key=value'`; given several times, they add up. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError("Expected 'name=value'.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Given several times, they add up. */
export function list(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

export interface OutputFlags {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export interface AppFlags {
  /** A module, or `module#export`. */
  readonly app?: string;
  readonly connection?: string;
}

export interface NamedAppFlags extends AppFlags {
  /** The app's name, where its code is not needed. */
  readonly name?: string;
  readonly prefix?: string;
  /** With a name: queues that are not `default`, which the code would tell. */
  readonly queue?: string | readonly string[];
}

/** A flag that the environment can give: `--max-jobs` as `UMBEL_MAX_JOBS`. */
export function flag(names: string, description: string): Option {
  const option = new Option(names, description);
  const long = (option.long ?? '').replace(/^--(no-)?/, '');
  return option.env(`UMBEL_${long.replaceAll('-', '_').toUpperCase()}`);
}

/** A flag of one call, which the environment does not give. */
export function ownFlag(names: string, description: string): Option {
  return new Option(names, description);
}

export function outputFlags(command: Command): void {
  command
    .addOption(ownFlag('--json', 'documents of JSON on stdout instead of text').helpGroup('Output:'))
    .addOption(ownFlag('-v, --verbose', 'errors with their stack').helpGroup('Output:'));
}

const APP_HELP = 'module of the app, as ./tasks.ts or ./tasks.ts#app';

export function connectionFlag(command: Command): void {
  const option = new Option('-b, --connection <url>', 'store of apps that name none in their code');
  command.addOption(option.env('UMBEL_URL').helpGroup('App:'));
}

/** For commands that need the app's code. */
export function appFlags(command: Command): void {
  command.addOption(flag('-A, --app <module>', APP_HELP).helpGroup('App:'));
  connectionFlag(command);
}

/** For commands that can do without. */
export function namedAppFlags(command: Command): void {
  appFlags(command);
  command
    .addOption(flag('--name <app>', 'name of the app, instead of its code').helpGroup('App:'))
    .addOption(flag('--prefix <text>', 'prefix of its keys, with --name').helpGroup('App:'));
  if (command.options.some(({ long }) => long === '--queue')) return;
  command.addOption(
    ownFlag('--queue <name>', 'a queue to look in, with --name; repeatable')
      .argParser(list)
      .helpGroup('App:'),
  );
}

/** Examples under the help: what is typed, and what it does. */
export function examples(command: Command, lines: readonly (readonly [line: string, does: string])[]): void {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, does]) => `  ${line.padEnd(width)}  # ${does}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${text}`);
}

// The flags of what sends a call or a composition, and the options that they are.

export interface SendFlags {
  readonly input?: string;
  readonly wait?: boolean;
  readonly timeout?: string;
  readonly countdown?: string;
  readonly eta?: Date;
  readonly expires?: string;
  readonly queue?: string;
  readonly priority?: number;
  readonly idempotencyKey?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly tag?: readonly string[];
  readonly displayName?: string;
}

export function sendFlags(command: Command): void {
  command
    .addOption(ownFlag('-i, --input <json>', 'input as JSON, @file, or - for standard input'))
    .addOption(ownFlag('-w, --wait', 'wait for the result and print it'))
    .addOption(
      ownFlag('--timeout <time>', 'longest wait, such as 30s; then the exit code is 75').argParser(duration),
    )
    .addOption(ownFlag('--countdown <time>', 'start no earlier than so long from now').argParser(duration))
    .addOption(ownFlag('--eta <moment>', 'the same as a moment, 2030-01-31T08:00:00Z').argParser(moment))
    .addOption(ownFlag('--expires <time>', 'do not start later than so long from now').argParser(duration))
    .addOption(ownFlag('--queue <name>', "another queue than the task's, or than 'default' with --name"))
    .addOption(
      ownFlag('--priority <n>', 'A smaller number runs first (default: 0)').argParser(integer(0, 2_097_151)),
    )
    .addOption(ownFlag('--idempotency-key <text>', 'sending it again gives the same job'))
    .addOption(ownFlag('--header <name=value>', 'text that travels along; repeatable').argParser(keyValue))
    .addOption(ownFlag('--tag <text>', 'label to search and revoke by; repeatable').argParser(list))
    .addOption(ownFlag('--display-name <text>', 'name for people'));
}

/** Times have been checked, so they are durations. */
export function sendOptions(flags: SendFlags): SendOptions {
  const { countdown, eta, expires, queue, priority, idempotencyKey, header, tag, displayName } = flags;
  return {
    ...(countdown !== undefined && { countdown: countdown as NonNullable<SendOptions['countdown']> }),
    ...(eta !== undefined && { eta }),
    ...(expires !== undefined && { expires: expires as NonNullable<SendOptions['expires']> }),
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(header !== undefined && { headers: header }),
    ...(tag !== undefined && { tags: tag }),
    ...(displayName !== undefined && { displayName }),
  };
}
