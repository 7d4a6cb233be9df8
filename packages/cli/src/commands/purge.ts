import { defineCommand } from '../command.js';
import { CliError } from '../errors/cli-error.js';
import { EXIT } from '../errors/exit-codes.js';
import { examples, ownFlag } from '../flags.js';
import { type OperatorFlags, operatorFlags, withOperated } from '../operating/app.js';
import { type ConfirmFlags, confirmed, confirmFlag } from '../operating/confirm.js';
import { progressShown } from '../output/progress.js';
import { cleanLine, counted } from '../output/text.js';

type PurgeFlags = OperatorFlags & ConfirmFlags & { readonly all?: boolean; readonly delayed?: boolean };

export default defineCommand<PurgeFlags>({
  define(command) {
    command
      .description(
        'Removes the jobs that wait in queues, for good; those that run go on. Runs whose steps wait there are revoked as a ' +
          'whole, since they would never end without them: these steps stay, and end without running when a worker takes them. ' +
          'It counts first, and asks.',
      )
      .argument('[queues...]', 'names of queues')
      .addOption(ownFlag('--all', 'every queue'))
      .addOption(ownFlag('--delayed', 'also jobs that wait for a time: a countdown, another attempt'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel purge mail --name shop', 'counts, and asks'],
      ['umbel purge mail reports --delayed --yes', 'asks nothing'],
    ]);
  },
  async run(context) {
    const { out, flags } = context;
    const [named = []] = context.args as [string[]?];
    if ((named.length === 0) !== (flags.all === true))
      throw new CliError({
        exitCode: EXIT.usage,
        what: 'Which queues?',
        why: named.length === 0 ? 'None is named.' : 'Some are named, and --all is given too.',
        hint: 'Name them, or give --all.',
      });
    return withOperated(context, async (app) => {
      const all = await app.inspect.queues();
      const unknown = named.filter((name) => !all.some((queue) => queue.name === name));
      if (unknown.length > 0)
        throw new CliError({
          exitCode: EXIT.usage,
          what: `There is no queue ${unknown.join(', ')}.`,
          why: `There are ${all.map(({ name }) => name).join(', ')}.`,
          hint: 'With --name, a queue that no worker serves has to be told: --queue.',
        });
      const meant = all.filter(({ name }) => flags.all || named.includes(name));
      const counts = meant.map(({ name, counts: { waiting, delayed } }) => ({
        queue: name,
        jobs: waiting + (flags.delayed ? delayed : 0),
      }));
      const total = counts.reduce((sum, { jobs }) => sum + jobs, 0);
      if (!out.isJson)
        for (const { queue, jobs } of counts) out.note(cleanLine(`${queue}: ${counted(jobs, 'job')}`));
      if (total > 0) await confirmed(flags, `Remove ${counted(total, 'job')} for good?`);
      const queues: { queue: string; removed: number; revokedRuns: number }[] = [];
      for (const { queue, jobs } of counts) {
        const none = { removed: 0, revokedRuns: 0 };
        const options = { delayed: flags.delayed === true, onProgress: progressShown(out, queue) };
        queues.push({ queue, ...(jobs === 0 ? none : await app.queue(queue).purge(options)) });
      }
      out.status(undefined);
      const sum = (key: 'removed' | 'revokedRuns') => queues.reduce((all, each) => all + each[key], 0);
      const [removed, revokedRuns] = [sum('removed'), sum('revokedRuns')];
      if (out.isJson) out.document('purge', { removed, revokedRuns, queues });
      else
        out.data(
          `${counted(removed, 'job')} removed${revokedRuns > 0 ? `, ${counted(revokedRuns, 'run')} revoked` : ''}`,
        );
      return EXIT.ok;
    });
  },
});
