/** Declares the flags of `umbel worker` and `umbel dev`, and converts them to worker options. */
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

// Processes, reloading and schedules.

interface ScalingFlags {
  readonly processes?: number | 'auto';
  readonly watch?: boolean;
  readonly withSchedules?: boolean;
  readonly withoutSchedules?: boolean;
}

/** @throws {CliError} if two flags contradict each other. */
function scalingOptions({ processes, watch, withSchedules, withoutSchedules }: ScalingFlags): WorkerOptions {
  if (withSchedules && withoutSchedules)
    throw new CliError({
      exitCode: EXIT.usage,
      what: '--with-schedules and --without-schedules exclude each other.',
      hint: 'Leave one of them out.',
    });
  return {
    ...(processes !== undefined && { processes }),
    ...(watch !== undefined && { watch }),
    ...((withSchedules || withoutSchedules) && { schedules: !withoutSchedules }),
  };
}

/** Returns whether this is a child process of a worker with several processes. Its supervisor prints the banner and the log. */
export function isChildProcess({ processIndex }: AppWorker): boolean {
  return processIndex !== undefined;
}

/** Runs a child process. The worker reports to its supervisor, even if it fails to start, and exits the process itself. */
export async function runChildProcess(worker: AppWorker): Promise<never> {
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

/** Adds the flags that `umbel worker` and `umbel dev` share. */
export function commonWorkerFlags(command: Command): void {
  command
    .addOption(
      flag(
        '-q, --queues <list>',
        "Queues to serve, such as default,email=20 (default: those of the app's tasks)",
      )
        .argParser(queueList)
        .helpGroup('Worker:'),
    )
    .addOption(
      flag(
        '-c, --concurrency <n>',
        'Jobs of a queue that run at the same time; 5..50 follows the load (default: 10)',
      )
        .argParser(concurrency)
        .helpGroup('Worker:'),
    )
    .addOption(
      logFlag('-l, --loglevel <level>', 'Log level')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(
      logFlag('--log-format <format>', 'Log as text, or as JSON lines in the format of pino').choices([
        'pretty',
        'json',
      ]),
    )
    .addOption(logFlag('--results', 'Log results, with sensitive values masked'));
}

export function workerFlags(command: Command): void {
  commonWorkerFlags(command);
  const work = (option: Option) => command.addOption(option.helpGroup('Worker:'));
  const end = (option: Option) => command.addOption(option.helpGroup('Shutdown:'));
  work(flag('-n, --worker-name <name>', 'Name of the worker (default: host name and process id)'));
  work(
    flag('--processes <n>', "Number of processes, or 'auto' for one per free core").argParser(processCount),
  );
  work(flag('--watch', 'Restart when a module changes'));
  work(flag('--with-schedules', 'Store the schedules that the code declares at start (default)'));
  work(flag('--without-schedules', 'Do not change the stored schedules'));
  work(
    flag(
      '--lock-duration <time>',
      'Time without a sign of life after which its jobs run elsewhere (default: 30s)',
    ).argParser(duration),
  );
  work(flag('--allow-eviction', 'Start even if the store evicts keys, and so loses jobs'));
  work(
    flag('--health-port <port>', 'Serve /livez and /readyz over HTTP on this port').argParser(
      integer(0, 65_535),
    ),
  );
  work(flag('--health-host <host>', 'Address of the health server (default: all)'));
  end(flag('--max-jobs <n>', 'Stop after this many attempts').argParser(integer(1)));
  end(flag('--max-memory <size>', 'Stop when the process uses more memory, such as 512MB'));
  end(flag('--until-empty', 'Stop once its queues are empty (exit code 1 if a job failed)'));
  end(
    flag(
      '--shutdown-timeout <time>',
      "Maximum wait for running jobs after a signal, or 'none' (default: 25s)",
    ).argParser(durationOrNone),
  );
}

function logFlag(names: string, description: string): Option {
  return flag(names, description).helpGroup('Logging:');
}

/** Converts flags to the options of `app.worker`. The parsers have checked the durations. */
export function workerOptions(flags: WorkerFlags): WorkerOptions {
  const {
    queues,
    concurrency: defaultConcurrency,
    workerName,
    maxJobs,
    maxMemory,
    lockDuration,
    allowEviction,
  } = flags;
  const { shutdownTimeout, healthPort, healthHost } = flags;
  return {
    ...(queues !== undefined && { queues: queuesOf(queues, defaultConcurrency) }),
    ...(defaultConcurrency !== undefined && { concurrency: defaultConcurrency }),
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

/** Returns the queues; with the concurrency of each if the list names any. */
function queuesOf(
  queues: QueueList,
  defaultConcurrency: Concurrency = 10,
): NonNullable<WorkerOptions['queues']> {
  if (queues.every((each) => each.concurrency === undefined)) return queues.map(({ queue }) => queue);
  return Object.fromEntries(
    queues.map(({ queue, concurrency: count }) => [queue, count ?? defaultConcurrency]),
  );
}
