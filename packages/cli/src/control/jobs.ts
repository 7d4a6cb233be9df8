import { type CommandContext, type CommandModule, defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT, type ExitCode } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operating/confirm.js';
import { counted } from '../output/text.js';

type RevokeFlags = OperatorFlags & ConfirmFlags & { readonly tag?: string; readonly terminate?: boolean };

export const revoke: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('keep jobs or whole runs from starting, for good')
      .description(
        'Keeps jobs or whole runs from starting, for good. What runs goes on, unless --terminate is given. What has ended is ' +
          'left as it is, but for steps that a run has left behind. By tag it asks before, since nobody sees how many are meant.',
      )
      .argument('[ids...]', 'ids of calls or runs')
      .addOption(ownFlag('--tag <text>', 'all that bears this tag, instead of ids'))
      .addOption(ownFlag('--terminate', 'also give up attempts that run'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel control revoke 3f2a91c0-… --name shop', 'one'],
      ['umbel control revoke --tag import-42 --yes', 'all that bears a tag'],
    ]);
  },
  run: (context) => revokeJobs(context, context.flags.terminate === true),
});

export const terminate: CommandModule = defineCommand<RevokeFlags>({
  define(command) {
    command
      .summary('the same, and give up attempts that run')
      .description(
        'Revokes jobs or whole runs, and gives up their attempts that run: their ctx.signal is aborted.',
      )
      .argument('[ids...]', 'ids of calls or runs')
      .addOption(ownFlag('--tag <text>', 'all that bears this tag, instead of ids'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [['umbel control terminate 3f2a91c0-… --name shop', 'one']]);
  },
  run: (context) => revokeJobs(context, true),
});

function revokeJobs(context: CommandContext<RevokeFlags>, isTerminated: boolean): Promise<ExitCode> {
  const { out, flags } = context;
  const [ids = []] = context.args as [string[]?];
  const { tag } = flags;
  if ((ids.length === 0) === (tag === undefined))
    throw new CliError({
      exitCode: EXIT.usage,
      what: 'Which jobs?',
      why: 'Either ids are named, or a tag is with --tag.',
    });
  return withOperated(context, async (app) => {
    if (tag !== undefined) await confirmed(flags, `Revoke all that bears the tag "${tag}"?`);
    const revoked =
      tag === undefined
        ? await app.control.revoke(ids, { terminate: isTerminated })
        : await app.control.revokeByTag(tag, { terminate: isTerminated });
    const ended = tag === undefined ? ids.length - revoked : 0;
    if (out.isJson) out.document('revoked', { revoked });
    else out.data(`${revoked} revoked${ended > 0 ? `, ${counted(ended, 'has', 'have')} ended before` : ''}`);
    return EXIT.ok;
  });
}
