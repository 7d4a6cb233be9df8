/** The flags of what sends a call or a composition, and the options that they are. */
import type { SendOptions } from '@umbel/core';
import type { Command } from 'commander';
import { duration, integer, keyValue, list, moment } from './args.js';
import { ownFlag } from './flags.js';

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
