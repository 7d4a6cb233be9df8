/** The flags of a worker, and the options that they are. */
import type { AppWorker, WorkerOptions } from '@umbel/core';
import type { Command, Option } from 'commander';
import { CliError, EXIT } from '../errors.js';
import {
  type Concurrency,
  concurrency,
  duration,
  durationOrNone,
  flag,
  integer,
  processCount,
  type QueueList,
  queueList,
} from '../flags.js';
import type { LogLevel } from './log.js';

// What a worker does beyond taking jobs in one process.

export interface ScalingFlags {
  readonly processes?: number | 'auto';
  readonly watch?: boolean;
  readonly withSchedules?: boolean;
  readonly withoutSchedules?: boolean;
}

/** @throws {CliError} if two of them contradict each other. */
export function scalingOptions({
  processes,
  watch,
  withSchedules,
  withoutSchedules,
}: ScalingFlags): WorkerOptions {
  if (withSchedules && withoutSchedules)
    throw new CliError({
      exitCode: EXIT.usage,
      what: '--with-schedules and --without-schedules do not go together.',
      hint: 'Leave one of them out.',
    });
  return {
    ...(processes !== undefined && { processes }),
    ...(watch !== undefined && { watch }),
    ...((withSchedules || withoutSchedules) && { schedules: !withoutSchedules }),
  };
}

/** Whether this process is one of several of a worker: the first one tells of them all. */
export function isOneOfSeveral({ processIndex }: AppWorker): boolean {
  return processIndex !== undefined;
}

/**
 * A process among several, to its end: its supervisor is told of it, also if it cannot be started, and the worker ends the
 * process.
 */
export async function runAsOneOfSeveral(worker: AppWorker): Promise<never> {
  await worker.start().catch(() => {});
  return new Promise(() => {});
}

export interface WorkerFlags extends ScalingFlags {
  readonly queues?: QueueList;
  readonly concurrency?: Concurrency;
  readonly workerName?: string;
  readonly loglevel: LogLevel;
  readonly logFormat?: 'pretty' | 'json';
  readonly maxJobs?: number;
  readonly maxMemory?: string;
  readonly shutdownTimeout?: string | false;
  readonly lockDuration?: string;
  readonly healthPort?: number;
  readonly healthHost?: string;
  readonly allowEviction?: boolean;
  readonly untilEmpty?: boolean;
  readonly results?: boolean;
}

/** Those of `umbel dev` too. */
export function commonWorkerFlags(command: Command): void {
  command
    .addOption(
      flag('-q, --queues <list>', "queues to serve, as default,email=20 (default: those of the app's tasks)")
        .argParser(queueList)
        .helpGroup('Work:'),
    )
    .addOption(
      flag(
        '-c, --concurrency <n>',
        'jobs of a queue at the same time; 5..50 lets it follow the load (default: 10)',
      )
        .argParser(concurrency)
        .helpGroup('Work:'),
    )
    .addOption(
      logFlag('-l, --loglevel <level>', 'what is told')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(
      logFlag('--log-format <format>', 'for people, or a JSON object a line, as pino writes it').choices([
        'pretty',
        'json',
      ]),
    )
    .addOption(logFlag('--results', 'show what handlers give, with what is sensitive masked'));
}

export function workerFlags(command: Command): void {
  commonWorkerFlags(command);
  const work = (option: Option) => command.addOption(option.helpGroup('Work:'));
  const end = (option: Option) => command.addOption(option.helpGroup('End:'));
  work(flag('-n, --worker-name <name>', 'shown beside its jobs (default: host name and process id)'));
  work(
    flag('--processes <n>', "so many processes, or 'auto' for the cores of the machine").argParser(
      processCount,
    ),
  );
  work(flag('--watch', 'start anew when a module changes'));
  work(flag('--with-schedules', 'store the schedules that the code declares, as it starts (the default)'));
  work(flag('--without-schedules', 'leave the schedules that are stored as they are'));
  work(
    flag(
      '--lock-duration <time>',
      'after so long without a sign of life its jobs run elsewhere (default: 30s)',
    ).argParser(duration),
  );
  work(flag('--allow-eviction', 'start although the store evicts keys, and so loses jobs'));
  work(flag('--health-port <port>', 'answer /livez and /readyz over HTTP').argParser(integer(0, 65_535)));
  work(flag('--health-host <host>', 'on this address only (default: all)'));
  end(flag('--max-jobs <n>', 'end after so many attempts').argParser(integer(1)));
  end(flag('--max-memory <size>', 'end once the process uses more, as 512MB'));
  end(flag('--until-empty', 'end once its queues hold nothing to do; exit code 1 if a job failed'));
  end(
    flag(
      '--shutdown-timeout <time>',
      "longest wait for running jobs after a signal, or 'none' (default: 25s)",
    ).argParser(durationOrNone),
  );
}

function logFlag(names: string, description: string): Option {
  return flag(names, description).helpGroup('Log:');
}

/** What `app.worker` is told. Times have been checked, so they are durations. */
export function workerOptions(flags: WorkerFlags): WorkerOptions {
  const { queues, concurrency: most, workerName, maxJobs, maxMemory, lockDuration, allowEviction } = flags;
  const { shutdownTimeout, healthPort, healthHost } = flags;
  return {
    ...(queues !== undefined && { queues: queuesOf(queues, most) }),
    ...(most !== undefined && { concurrency: most }),
    ...(workerName !== undefined && { name: workerName }),
    ...(maxJobs !== undefined && { maxJobs }),
    ...(maxMemory !== undefined && { maxMemory: maxMemory as NonNullable<WorkerOptions['maxMemory']> }),
    ...(lockDuration !== undefined && {
      lockDuration: lockDuration as NonNullable<WorkerOptions['lockDuration']>,
    }),
    ...(shutdownTimeout !== undefined && {
      shutdownTimeout: shutdownTimeout as NonNullable<WorkerOptions['shutdownTimeout']>,
    }),
    ...(allowEviction !== undefined && { allowEviction }),
    ...(healthPort !== undefined && {
      health: { port: healthPort, ...(healthHost !== undefined && { host: healthHost }) },
    }),
    ...scalingOptions(flags),
  };
}

/** With the concurrency of each, where one names its own. */
function queuesOf(queues: QueueList, most: Concurrency = 10): NonNullable<WorkerOptions['queues']> {
  if (queues.every((each) => each.concurrency === undefined)) return queues.map(({ queue }) => queue);
  return Object.fromEntries(queues.map(({ queue, concurrency: own }) => [queue, own ?? most]));
}
