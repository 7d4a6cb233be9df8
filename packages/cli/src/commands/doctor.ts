import { resolve } from 'node:path';
import { integer } from '../args.js';
import { type CommandContext, defineCommand } from '../command.js';
import { configFile } from '../config.js';
import { type Check, ok } from '../doctor/check.js';
import { nodeCheck, packageChecks } from '../doctor/program-checks.js';
import { queuedCheck, storeChecks, stuckCheck } from '../doctor/store-checks.js';
import { workloadChecks } from '../doctor/workload-checks.js';
import { EXIT } from '../errors/exit-codes.js';
import { problemOf } from '../errors/problem.js';
import {
  examples,
  flag,
  type NamedAppFlags,
  namedAppFlags,
  type OutputFlags,
  outputFlags,
} from '../flags.js';
import { withSeen } from '../operating/app.js';
import { whyUnknown } from '../operating/known-app.js';
import { currentTime } from '../operating/times.js';
import type { Output } from '../output/output.js';
import { cleanLine, counted } from '../output/text.js';

type DoctorFlags = NamedAppFlags & OutputFlags & { readonly jobs: number };

export default defineCommand<DoctorFlags>({
  define(command) {
    command
      .description(
        'Looks for what may be wrong, and changes nothing: versions, the settings and the clock of the store, steps that wait for ever, queued jobs that would fail since their task or its schema has changed, jobs that no worker takes, paused queues, limits that hold jobs back, and workers that are gone with jobs. The exit code is 1 if something is wrong, and 69 if the store does not answer.',
      )
      .addOption(
        flag('--jobs <n>', 'queued jobs of each queue to look at').argParser(integer(0, 10_000)).default(100),
      );
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel doctor --app ./tasks.ts', 'everything'],
      ['umbel doctor --name shop -b redis://db:6379', 'the store, without code'],
      ['umbel doctor --app ./tasks.ts --jobs 5000', 'before an upgrade: would all that is queued still fit?'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const checks: Check[] = [nodeCheck(), ...packageChecks(resolve('.')), configCheck()];
    let exitCode: number = EXIT.ok;
    try {
      await withSeen(context, async (app, isNamed) => {
        const { tasks, store, queues } = app.describe();
        const known = isNamed ? '' : `, ${counted(tasks.length, 'task')}, ${counted(queues.length, 'queue')}`;
        const diagnosis = await app.diagnose({ jobs: flags.jobs });
        checks.push(
          ok('connection', `${store.address} answers`),
          ...storeChecks(diagnosis.store),
          stuckCheck(diagnosis),
          queuedCheck(diagnosis, !isNamed),
        );
        const [workers, all] = await Promise.all([app.inspect.workers(), app.inspect.queues()]);
        const unknown = isNamed ? await whyUnknown(app, workers, all) : undefined;
        checks.push(
          unknown === undefined
            ? ok('app', `app "${app.name}"${known}`)
            : {
                id: 'app',
                status: 'error',
                message: `${unknown.what} ${unknown.why}`,
                hint: 'Is it this name, and this store? See --name, --prefix and --connection.',
              },
          ...workloadChecks(workers, all, currentTime()),
        );
        return EXIT.ok;
      });
    } catch (error) {
      const { what, why, hint, exitCode: code } = problemOf(error);
      exitCode = code;
      const id = code === EXIT.unreachable ? 'connection' : 'app';
      const message = why === undefined ? what : `${what} ${why}`;
      checks.push({ id, status: 'error', message, ...(hint !== undefined && { hint }) });
    }
    print(out, checks, context);
    const isBad = checks.some(({ status }) => status === 'error');
    return exitCode !== EXIT.ok ? (exitCode as typeof EXIT.unreachable) : isBad ? EXIT.failed : EXIT.ok;
  },
});

function configCheck(): Check {
  const file = configFile(process.cwd());
  return ok('config', file === undefined ? 'no umbel.config in this folder' : file);
}

function print(out: Output, checks: readonly Check[], { flags }: CommandContext<DoctorFlags>): void {
  if (out.isJson) {
    out.document('doctor', { ok: checks.every(({ status }) => status !== 'error'), checks });
    return;
  }
  const { green, yellow, red, dim } = out.colors;
  const signs = { ok: green('✓'), warning: yellow('!'), error: red('✗') };
  for (const { status, message, hint, details = [] } of checks) {
    out.data(`${signs[status]} ${cleanLine(message)}`);
    if (hint !== undefined) out.data(dim(`    ${cleanLine(hint)}`));
    const shown = flags.verbose ? details : details.slice(0, 5);
    for (const detail of shown) out.data(dim(`    - ${cleanLine(detail)}`));
    if (shown.length < details.length) out.data(dim(`    - and ${details.length - shown.length} more: -v`));
  }
  const count = (status: Check['status']) => checks.filter((check) => check.status === status).length;
  out.data(`${counted(count('error'), 'error')}, ${counted(count('warning'), 'warning')}`);
}
