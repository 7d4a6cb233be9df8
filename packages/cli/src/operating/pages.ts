/** Lists that come in pages. */
import type { Page } from '@umbel/core';

import { type Command, InvalidArgumentError } from 'commander';
import { integer, list } from '../args.js';
import { ownFlag } from '../flags.js';
import type { Output } from '../output/output.js';
import { momentOf, pastMoment } from './times.js';

export interface PageFlags {
  readonly limit: number;
  readonly cursor?: string;
}

export interface TimeFlags {
  readonly since?: Date;
  readonly until?: Date;
}

export interface FilterFlags extends TimeFlags {
  readonly state?: readonly string[];
  readonly tag?: string;
}

export function pageFlags(command: Command, usual = 50): void {
  command
    .addOption(ownFlag('--limit <n>', 'at most so many').argParser(integer(1, 1000)).default(usual))
    .addOption(ownFlag('--cursor <text>', 'go on after an earlier list'));
}

export function timeFlags(command: Command): void {
  command
    .addOption(
      ownFlag('--since <moment>', 'ended, or sent, then or later; also a time before now, as 2h').argParser(
        pastMoment,
      ),
    )
    .addOption(ownFlag('--until <moment>', 'before that').argParser(pastMoment));
}

export function filterFlags(command: Command): void {
  command
    .addOption(ownFlag('--state <state>', 'in this state; repeatable').argParser(stateList))
    .addOption(ownFlag('--tag <text>', 'sent with this tag'));
  timeFlags(command);
}

const STATES = [
  'waiting',
  'delayed',
  'waiting-children',
  'active',
  'completed',
  'failed',
  'expired',
  'revoked',
  'skipped',
];

function stateList(text: string, before: readonly string[] = []): readonly string[] {
  if (STATES.includes(text)) return list(text, before);
  throw new InvalidArgumentError(`Expected one of ${STATES.join(', ')}.`);
}

/** Those of the flags that were given, under the names that a query has for them; moments by the clock of the app. */
export function given<Flags extends object, const Key extends keyof Flags & string>(
  flags: Flags,
  keys: readonly Key[],
): { [K in Key]?: Exclude<Flags[K], undefined> } {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = flags[key];
      return value === undefined ? [] : [[key, value instanceof Date ? momentOf(value) : value]];
    }),
  ) as {
    [K in Key]?: Exclude<Flags[K], undefined>;
  }; // of these keys, without those that are undefined
}

/** Up to `limit` items: a page may hold fewer, or none, where more follows. */
export async function upTo<Item>(
  limit: number,
  first: string | undefined,
  next: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor = first;
  do {
    const page = await next({ limit: limit - items.length, ...(cursor !== undefined && { cursor }) });
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && items.length < limit);
  return { items, ...(cursor !== undefined && { cursor }) };
}

/** Where a list goes on, on stderr: it is no item. */
export function tellMore(out: Output, cursor: string | undefined): void {
  if (cursor !== undefined) out.note(out.noteColors.dim(`There are more: --cursor ${cursor}`));
}
