/** Which dead letters are meant: the flags, and the filter that they are. */
import type { DeadLetterFilter } from '@umbel/core';
import type { Command } from 'commander';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { ownFlag } from '../flags.js';
import { given, type TimeFlags, timeFlags } from '../operating/pages.js';

export interface LetterFlags extends TimeFlags {
  readonly task?: string;
  readonly error?: string;
  readonly state?: 'failed' | 'expired';
  readonly tag?: string;
  readonly queue?: string;
}

export function letterFlags(command: Command): void {
  command
    .addOption(ownFlag('--task <name>', 'of this task'))
    .addOption(ownFlag('--error <name>', 'that failed with an error of this name or code'))
    .addOption(ownFlag('--state <state>', 'that ended so').choices(['failed', 'expired']))
    .addOption(ownFlag('--tag <text>', 'that bear this tag'))
    .addOption(ownFlag('--queue <name>', 'in this queue'));
  timeFlags(command);
}

const KEYS = ['task', 'error', 'state', 'tag', 'queue', 'since', 'until'] as const;

export function letterFilter(flags: LetterFlags): DeadLetterFilter {
  return given(flags, KEYS);
}

/** @throws {CliError} unless either ids are given, or `--all`, to which a filter belongs. */
export function checkMeant(ids: readonly string[], flags: LetterFlags & { readonly all?: boolean }): void {
  const isFiltered = KEYS.some((key) => flags[key] !== undefined && key !== 'queue');
  const why =
    ids.length > 0 && (flags.all || isFiltered)
      ? 'Ids are named, and --all or a filter is given too.'
      : ids.length === 0 && !flags.all
        ? 'Neither ids are named, nor is --all given.'
        : undefined;
  if (why === undefined) return;
  throw new CliError({
    exitCode: EXIT.usage,
    what: 'Which dead letters?',
    why,
    hint: 'All of a task, for example: --all --task email.send',
  });
}
