/** `umbel purge`: removes the waiting jobs of a queue after a confirmation. */
import { type OperatorFlags, operatorFlags, withSharedApp } from '../app-commands.js';
import { defineCommand } from '../command.js';
import { CliError, EXIT } from '../errors.js';
import { examples, plainFlag } from '../flags.js';
import { type ConfirmFlags, confirmFlag, requireConfirmation } from '../operator-flags.js';
import { cleanLine, counted, progressShown } from '../output.js';

type PurgeFlags = OperatorFlags & ConfirmFlags & { readonly all?: boolean; readonly delayed?: boolean };

export default defineCommand<PurgeFlags>({
  define(command) {
    command
      .description(
        'Remove waiting jobs from queues permanently; running jobs continue. A workflow run with a step that waits there is ' +
          'revoked as a whole, because it could never complete: its steps stay, and end without running when a worker takes ' +
          'them. Count the jobs first, and ask for confirmation.',
      )
      .argument('[queues...]', 'Names of queues')
      .addOption(plainFlag('--all', 'All queues'))
      .addOption(plainFlag('--delayed', 'Also remove delayed jobs (countdown or retry)'));
    confirmFlag(command);
    operatorFlags(command);
    examples(command, [
      ['umbel purge mail --name shop', 'count, then ask'],
      ['umbel purge mail reports --delayed --yes', 'do not ask'],
    ]);
  },
  async run(context) {
    const { out, flags } = context;
    const [names = []] = context.args as [string[]?];
    if ((names.length === 0) !== (flags.all === true))
      throw new CliError({
        exitCode: EXIT.usage,
        what: 'umbel purge needs either names of queues or --all.',
        why: names.length === 0 ? 'Got neither.' : 'Got both.',
        hint: 'Name the queues, or pass --all.',
      });
    return withSharedApp(context, async (app) => {
      const all = await app.inspect.queues();
      const unknown = names.filter((name) => !all.some((queue) => queue.name === name));
      if (unknown.length > 0)
        throw new CliError({
          exitCode: EXIT.usage,
          what: `There is no queue "${unknown.join('", "')}".`,
          why: `The queues are ${all.map(({ name }) => name).join(', ')}.`,
          hint: 'With --name, pass queues that no worker serves with --queue.',
        });
      const selected = all.filter(({ name }) => flags.all || names.includes(name));
      const counts = selected.map(({ name, counts: { waiting, delayed } }) => ({
        queue: name,
        jobs: waiting + (flags.delayed ? delayed : 0),
      }));
      const total = counts.reduce((sum, { jobs }) => sum + jobs, 0);
      if (!out.isJson)
        for (const { queue, jobs } of counts) out.note(cleanLine(`${queue}: ${counted(jobs, 'job')}`));
      if (total > 0) await requireConfirmation(flags, `Remove ${counted(total, 'job')} permanently?`);
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
