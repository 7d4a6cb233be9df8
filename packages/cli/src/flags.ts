/** Declares flags that several commands share, parses their values, and names their environment variables. */

import type { SendOptions } from '@umbel/core';
import { type Command, InvalidArgumentError, Option } from 'commander';

// Parsers for text from flags, environment and configuration.

export type Concurrency = number | { readonly min: number; readonly max: number };

/** Queues to serve, with a concurrency where the text names one. */
export type QueueList = readonly { readonly queue: string; readonly concurrency?: Concurrency }[];

const DURATION = /^\d+(?:\.\d+)?\s?(?:ms|s|m|h|d|w)$/;

/** Returns a parser for whole numbers within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const upTo = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number${upTo}.`);
  };
}

/** Checks a duration such as `'30s'` or `'10m'`. A number other than 0 needs a unit, because it is ambiguous without one. */
export function duration(text: string): string {
  if (text === '0' || DURATION.test(text)) return text;
  throw new InvalidArgumentError("Expected a duration with its unit, such as '500ms', '30s', '10m' or '1h'.");
}

/** Checks a duration; returns `false` for `'none'`. */
export function durationOrNone(text: string): string | false {
  return text === 'none' ? false : duration(text);
}

/** Parses `'20'`, or bounds such as `'5..50'`. */
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

/** Parses `'default,email=20,reports=1..4'`. The lists of a repeated flag are joined. */
export function queueList(text: string, before: QueueList = []): QueueList {
  const parts = text.split(',').map((part) => part.trim());
  const parsed = parts.map((part) => {
    const [queue = '', count, ...more] = part.split('=');
    if (queue === '' || more.length > 0)
      throw new InvalidArgumentError("Expected names such as 'default,email', or 'email=20,default'.");
    return { queue, ...(count !== undefined && { concurrency: concurrency(count) }) };
  });
  return [...before, ...parsed];
}

/** Parses `'auto'` or a number from 1 to 1024. */
export function processCount(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : integer(1, 1024)(text);
}

/** Parses an ISO 8601 date, or date and time; a time needs a zone. */
export function moment(text: string): Date {
  const isClear = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const date = new Date(text);
  if (isClear && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError("Expected a time with its zone, such as '2030-01-31T08:00:00Z'.");
}

/** Parses `'name=value'`. The pairs of a repeated flag are merged. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError("Expected 'name=value'.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Appends the value of a repeated flag. */
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
  /** The app's name, for commands that work without its code. */
  readonly name?: string;
  readonly prefix?: string;
  /** With `name`: queues besides `default`, because without the code they are unknown. */
  readonly queue?: string | readonly string[];
}

/** Returns a flag that an environment variable can set: `--max-jobs` as `UMBEL_MAX_JOBS`. */
export function flag(names: string, description: string): Option {
  const option = new Option(names, description);
  const long = (option.long ?? '').replace(/^--(no-)?/, '');
  return option.env(`UMBEL_${long.replaceAll('-', '_').toUpperCase()}`);
}

/** Returns a flag that only the command line and the configuration can set. */
export function plainFlag(names: string, description: string): Option {
  return new Option(names, description);
}

export function outputFlags(command: Command): void {
  command
    .addOption(plainFlag('--json', 'Print JSON').helpGroup('Output:'))
    .addOption(plainFlag('-v, --verbose', 'Print stack traces').helpGroup('Output:'));
}

const APP_HELP = 'Module of the app, such as ./tasks.ts or ./tasks.ts#app';

export function connectionFlag(command: Command): void {
  const option = new Option(
    '-b, --connection <url>',
    'URL of the store, for apps that set none in their code',
  );
  command.addOption(option.env('UMBEL_URL').helpGroup('App:'));
}

/** Adds the flags of commands that need the app's code. */
export function appFlags(command: Command): void {
  command.addOption(flag('-A, --app <module>', APP_HELP).helpGroup('App:'));
  connectionFlag(command);
}

/** Adds the flags of commands that also work without the app's code. */
export function namedAppFlags(command: Command): void {
  appFlags(command);
  command
    .addOption(flag('--name <app>', 'Name of the app, to work without its code').helpGroup('App:'))
    .addOption(flag('--prefix <text>', 'Key prefix of the app, with --name').helpGroup('App:'));
  if (command.options.some(({ long }) => long === '--queue')) return;
  command.addOption(
    plainFlag('--queue <name>', 'Queue to search, with --name (repeatable)')
      .argParser(list)
      .helpGroup('App:'),
  );
}

/** Adds examples below the help: command lines and their explanations. */
export function examples(
  command: Command,
  lines: readonly (readonly [line: string, explanation: string])[],
): void {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, explanation]) => `  ${line.padEnd(width)}  # ${explanation}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${text}`);
}

// Flags of commands that send a job or workflow, and their conversion to send options.

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

export function sendFlags(command: Command, defaultQueue: string): void {
  command
    .addOption(plainFlag('-i, --input <json>', 'Input as JSON, @file, or - for stdin'))
    .addOption(plainFlag('-w, --wait', 'Wait for the result and print it'))
    .addOption(
      plainFlag('--timeout <time>', 'Maximum wait, such as 30s (then exit code 75)').argParser(duration),
    )
    .addOption(plainFlag('--countdown <time>', 'Delay before the start, such as 10m').argParser(duration))
    .addOption(
      plainFlag('--eta <moment>', 'Earliest start time, such as 2030-01-31T08:00:00Z').argParser(moment),
    )
    .addOption(
      plainFlag('--expires <time>', 'Time after which the job must not start, such as 1h').argParser(
        duration,
      ),
    )
    .addOption(plainFlag('--queue <name>', `Queue (default: ${defaultQueue})`))
    .addOption(
      plainFlag('--priority <n>', 'Priority; a smaller number runs first (default: 0)').argParser(
        integer(0, 2_097_151),
      ),
    )
    .addOption(plainFlag('--idempotency-key <text>', 'Idempotency key: sending again returns the same job'))
    .addOption(
      plainFlag('--header <name=value>', 'Header, available as ctx.headers (repeatable)').argParser(keyValue),
    )
    .addOption(plainFlag('--tag <text>', 'Tag to search and revoke by (repeatable)').argParser(list))
    .addOption(plainFlag('--display-name <text>', 'Display name'));
}

/** Converts flags to send options. The parsers have checked the durations. */
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
