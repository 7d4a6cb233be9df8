/** Asks before something is done that cannot be undone. */
import type { Command } from 'commander';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { ownFlag } from '../flags.js';

export interface ConfirmFlags {
  readonly yes?: boolean;
}

export function confirmFlag(command: Command): void {
  command.addOption(ownFlag('-y, --yes', 'do not ask; needed where there is no terminal'));
}

/** @param what As a question: `Remove 3 jobs?` @throws {CliError} unless the answer is yes. */
export async function confirmed({ yes }: ConfirmFlags, what: string): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY || process.env.CI)
    throw new CliError({
      exitCode: EXIT.usage,
      what,
      why: 'There is no terminal to ask at. Nothing was changed.',
      hint: 'If that is meant: --yes',
    });
  const { confirm } = await import('@clack/prompts');
  const answer = await confirm({ message: what, initialValue: false, output: process.stderr });
  if (answer !== true) throw new CliError({ exitCode: EXIT.interrupted, what: 'Nothing was changed.' });
}
