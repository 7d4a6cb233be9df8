/** `umbel doctor`: checks the store and the app, and prints a remedy for each problem. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Diagnosis, QueueInfo, StoreReport, WorkerInfo } from '@umbel/core';
import { unknownAppReason, withAnyApp } from '../app-commands.js';
import { type CommandContext, defineCommand } from '../command.js';
import { configFile } from '../config.js';
import { currentTime } from '../display.js';
import { EXIT, problemOf } from '../errors.js';
import { findingsOf } from '../findings.js';
import {
  examples,
  flag,
  integer,
  type NamedAppFlags,
  namedAppFlags,
  type OutputFlags,
  outputFlags,
} from '../flags.js';
import { cleanLine, counted, type Output, shortDuration } from '../output.js';
import { ownVersion } from '../start.js';

/** The outcome of one check. */
interface Check {
  /** Stable name of the check, for programs. */
  readonly id: string;
  readonly status: 'ok' | 'warning' | 'error';
  /** One line; may contain text from the store, which `print` cleans. */
  readonly message: string;
  readonly hint?: string;
  /** Single findings, for programs and with `-v`. */
  readonly details?: readonly string[];
}

const ok = (id: string, message: string): Check => ({ id, status: 'ok', message });

// Checks the versions of Node and of the packages.

const PACKAGES = ['@umbel/core', '@umbel/canvas', '@umbel/testing', 'bullmq', 'zod'];
const OLDEST_NODE = [20, 19];

export function nodeCheck(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldest = 0, oldestMinor = 0] = OLDEST_NODE;
  const isOld = major < oldest || (major === oldest && minor < oldestMinor);
  if (!isOld) return ok('node', `Node ${version}`);
  return { id: 'node', status: 'error', message: `Node ${version}`, hint: 'Install Node 20.19 or newer.' };
}

/** Checks that all packages of Umbel that a module in this folder imports have the version of this program. */
function packageChecks(folder: string): Check[] {
  const own = ownVersion();
  const found = PACKAGES.map((name) => [name, installedVersion(name, folder)] as const);
  const words = found.flatMap(([name, version]) => (version === undefined ? [] : [`${name} ${version}`]));
  const others = found.filter(
    ([name, version]) => name.startsWith('@umbel/') && version !== undefined && version !== own,
  );
  const message = [`umbel ${own}`, ...words].join(', ');
  if (others.length === 0) return [ok('packages', message)];
  return [
    {
      id: 'packages',
      status: 'warning',
      message,
      hint: `Install the same version of all Umbel packages: npm install ${others.map(([name]) => `${name}@${own}`).join(' ')}`,
    },
  ];
}

/** Returns the version of the package that a module in `folder` imports, else of the one that this program imports. */
function installedVersion(name: string, folder: string): string | undefined {
  for (const from of [folder, dirname(fileURLToPath(import.meta.url))]) {
    for (let at = from; ; at = dirname(at)) {
      const file = join(at, 'node_modules', name, 'package.json');
      if (existsSync(file)) {
        const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown };
        return typeof version === 'string' ? version : undefined;
      }
      if (at === dirname(at)) break;
    }
  }
  return undefined;
}

// Checks the store and the jobs in it.

/** The oldest version that each store supports, and the oldest that BullMQ recommends. */
const SERVERS = {
  redis: { title: 'Redis', oldest: '5.0', recommended: '6.2' },
  postgres: { title: 'PostgreSQL', oldest: '13', recommended: '13' },
  pglite: { title: 'PGlite with PostgreSQL', oldest: '13', recommended: '13' },
} as const;
const MAX_OFFSET_MS = 1000;
const MAX_DETAILS = 20;

function storeChecks(store: StoreReport | undefined): Check[] {
  if (store === undefined) return [ok('store', 'the store reports no settings')];
  const checks = [
    ...[versionCheck, policyCheck, persistenceCheck, durabilityCheck],
    ...[vacuumCheck, connectionCheck, transactionCheck, clockCheck],
  ];
  return checks.map((check) => check(store)).filter((check) => check !== undefined);
}

function versionCheck({ kind, version }: StoreReport): Check | undefined {
  if (version === undefined) return undefined;
  const { title, oldest, recommended } = SERVERS[kind === 'postgres' || kind === 'pglite' ? kind : 'redis'];
  const message = `${title} ${version}`;
  if (isOlder(version, oldest)) {
    return { id: 'version', status: 'error', message, hint: `Workers need ${title} ${oldest} or newer.` };
  }
  if (isOlder(version, recommended)) {
    return {
      id: 'version',
      status: 'warning',
      message,
      hint: `${title} ${recommended} or newer is recommended.`,
    };
  }
  return ok('version', message);
}

function isOlder(version: string, oldest: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

function policyCheck({ evictionPolicy: policy }: StoreReport): Check | undefined {
  if (policy === undefined) return undefined;
  const message = `maxmemory-policy is ${policy}`;
  if (policy === 'noeviction') return ok('eviction', message);
  const hint = 'Redis loses jobs when its memory is full. Run CONFIG SET maxmemory-policy noeviction.';
  return { id: 'eviction', status: 'error', message, hint };
}

function persistenceCheck({ hasAppendOnlyFile }: StoreReport): Check | undefined {
  if (hasAppendOnlyFile === undefined) return undefined;
  if (hasAppendOnlyFile) return ok('persistence', 'append-only file is on');
  return {
    id: 'persistence',
    status: 'warning',
    message: 'append-only file is off',
    hint: 'Redis loses all changes since its last snapshot when it stops. Set appendonly yes.',
  };
}

function durabilityCheck({ kind, isDurable }: StoreReport): Check | undefined {
  if (isDurable === undefined) return undefined;
  if (kind === 'pglite') {
    return {
      id: 'durability',
      status: 'warning',
      message: 'PGlite does not wait for the disk',
      hint: 'A killed process loses nothing. After a power loss, the last changes or the whole folder may be lost. Use Redis or PostgreSQL for jobs that must survive it.',
    };
  }
  if (isDurable) return ok('durability', 'fsync and synchronous_commit are on');
  return {
    id: 'durability',
    status: 'warning',
    message: 'fsync or synchronous_commit is off',
    hint: 'PostgreSQL loses its last changes when its server crashes. Set both to on.',
  };
}

function vacuumCheck({ hasAutovacuum }: StoreReport): Check | undefined {
  if (hasAutovacuum === undefined) return undefined;
  if (hasAutovacuum) return ok('autovacuum', 'autovacuum is on');
  return {
    id: 'autovacuum',
    status: 'warning',
    message: 'autovacuum is off',
    hint: 'Each job changes its row several times: the tables grow and become slow. Set autovacuum to on.',
  };
}

/** Share of the connections in use from which on a restart of workers may find none. */
const MANY_CONNECTIONS = 0.8;

function connectionCheck({ connections }: StoreReport): Check | undefined {
  if (connections === undefined) return undefined;
  const { used, max } = connections;
  const message = `${used} of ${max} connections are in use`;
  if (used < MANY_CONNECTIONS * max) return ok('connections', message);
  const hint = 'Raise max_connections, or lower `pool` in the URLs: a process needs at most pool + 1.';
  return { id: 'connections', status: 'warning', message, hint };
}

/** Age of a transaction that delays events and the removal of dead rows. */
const LONG_TRANSACTION_MS = 60_000;

function transactionCheck({ connections, oldestTransactionMs = 0 }: StoreReport): Check | undefined {
  if (connections === undefined) return undefined;
  if (oldestTransactionMs < LONG_TRANSACTION_MS)
    return ok('transactions', 'no transaction has been open for long');
  return {
    id: 'transactions',
    status: 'warning',
    message: `a transaction has been open for ${shortDuration(oldestTransactionMs)}`,
    hint: 'It delays events by 5 s and keeps dead rows. Find it in pg_stat_activity; idle_in_transaction_session_timeout ends such ones.',
  };
}

function clockCheck({ clockOffsetMs: offset }: StoreReport): Check | undefined {
  if (offset === undefined) return undefined;
  const difference = shortDuration(Math.abs(offset));
  if (Math.abs(offset) <= MAX_OFFSET_MS)
    return ok('clock', `this machine's clock is within ${difference} of the store's`);
  const message = `this machine's clock is ${difference} ${offset > 0 ? 'ahead of' : 'behind'} the store's`;
  return {
    id: 'clock',
    status: 'warning',
    message,
    hint: 'Synchronize it by NTP. Workers use the clock of the store.',
  };
}

function stuckCheck({ stuck: { checked, started, lost, ended } }: Diagnosis): Check {
  const count = started + lost + ended;
  const looked = counted(checked, 'waiting step');
  if (count === 0) return ok('stuck', `${looked}, none of them stuck`);
  return {
    id: 'stuck',
    status: 'error',
    message: `of ${looked}, ${count} will never start`,
    hint: 'A running worker repairs them within minutes, app.repair() at once. Find out what removed or evicted jobs.',
    details: [
      `${started} wait for no job`,
      `${lost} wait for a job that is gone from the store`,
      `${ended} wait for a job that has ended`,
    ],
  };
}

/** Checks queued jobs against the tasks of the app, which only its code has. */
function queuedCheck({ queued: { checked, problems } }: Diagnosis, knowsTasks: boolean): Check {
  const looked = counted(checked, 'queued job');
  if (!knowsTasks)
    return ok('queued', `${looked}; their inputs are checked only with the app's code (--app)`);
  const bad = problems.filter(({ problem }) => problem !== 'foreign');
  const foreign = problems.length - bad.length;
  const others = foreign === 0 ? '' : `, ${foreign} of another program`;
  if (bad.length === 0) return ok('queued', `${looked} match the tasks of the app${others}`);
  const unknown = bad.filter(({ problem }) => problem === 'unknown-task').length;
  return {
    id: 'queued',
    status: 'error',
    message: `of ${looked}, ${bad.length - unknown} do not match the schema of their task, and ${unknown} belong to tasks that the app does not define${others}`,
    hint: 'They fail when a worker with this code takes them. Let the code accept the old form until they are done.',
    details: bad.slice(0, MAX_DETAILS).map(({ id, task, queue, problem, issues = [] }) => {
      const why =
        problem === 'unknown-task'
          ? 'unknown task'
          : issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
      return `${task} ${id} in ${queue}: ${why}`;
    }),
  };
}

// Checks that workers serve the waiting jobs.

function workloadChecks(workers: readonly WorkerInfo[], queues: readonly QueueInfo[], now: number): Check[] {
  const findings = findingsOf(workers, queues, now);
  if (findings.length > 0) return findings;
  const online = workers.filter(({ state }) => state === 'online').length;
  const waiting = queues.reduce((total, { counts }) => total + counts.waiting, 0);
  return [
    ok(
      'workload',
      `${counted(online, 'worker')} online, ${counted(waiting, 'job')} waiting in ${counted(queues.length, 'queue')}`,
    ),
  ];
}

type DoctorFlags = NamedAppFlags & OutputFlags & { readonly jobs: number };

export default defineCommand<DoctorFlags>({
  define(command) {
    command
      .description(
        'Check the store and the app (read-only): versions, settings and clock of the store, stuck steps, queued jobs that would fail because their task or schema changed, jobs that no worker takes, paused queues, limits that hold jobs back, and missing workers that hold jobs. The exit code is 1 if there is an error, and 69 if the store does not answer.',
      )
      .addOption(
        flag('--jobs <n>', 'Number of queued jobs to check in each queue')
          .argParser(integer(0, 10_000))
          .default(100),
      );
    namedAppFlags(command);
    outputFlags(command);
    examples(command, [
      ['umbel doctor --app ./tasks.ts', 'all checks'],
      ['umbel doctor --name shop -b redis://db:6379', 'checks that need no code'],
      ['umbel doctor --app ./tasks.ts --jobs 5000', 'before an upgrade: check all queued inputs'],
    ]);
  },

  async run(context) {
    const { flags, out } = context;
    const checks: Check[] = [nodeCheck(), ...packageChecks(resolve('.')), configCheck()];
    let exitCode: number = EXIT.ok;
    try {
      await withAnyApp(context, async (app, isNamed) => {
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
        const unknown = isNamed ? await unknownAppReason(app, workers, all) : undefined;
        checks.push(
          unknown === undefined
            ? ok('app', `app "${app.name}"${known}`)
            : {
                id: 'app',
                status: 'error',
                message: `${unknown.what} ${unknown.why}`,
                hint: 'Check --name, --prefix and --connection.',
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
