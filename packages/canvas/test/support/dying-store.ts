/** A connection whose process dies at a point that can be chosen: from then on nothing reaches the store any more. */
import type { BackendFactory, IQueueBackend } from 'bullmq';
import type { CommandPoint } from './kill-points.js';

const COMMANDS = [
  'addFlow',
  'addJob',
  'addLog',
  'extendLocks',
  'getJobData',
  'getProcessedChildrenValues',
  'moveStalledJobsToWait',
  'moveToActive',
  'moveToCompleted',
  'moveToDelayed',
  'moveToFailed',
  'moveToWaitingChildren',
  'reconnectBlocking',
  'retryJob',
  'updateProgress',
  'waitForJob',
] as const;

export interface DyingStore {
  readonly connection: BackendFactory<IQueueBackend>;
  readonly isDead: boolean;
  /** Never resolves. */
  die(): Promise<never>;
}

/** A command that a worker sends, or that was answered. */
interface Passed {
  readonly when: CommandPoint['when'];
  readonly command: string;
  readonly args: readonly unknown[];
  readonly answer?: unknown;
}

/** Whether it is that point. */
export function isAt(point: CommandPoint, { when, command, args, answer }: Passed): boolean {
  if (point.when !== when || point.command !== command) return false;
  const [job] = args;
  if (point.job !== undefined && (job as { name?: string } | undefined)?.name !== point.job) return false;
  return command !== 'moveToActive' || (Array.isArray(answer) && Boolean(answer[0]));
}

/**
 * @param times At which of the commands that fit it dies.
 * @param kill Ends the process itself; else it is only cut off.
 * @param told Is told of each command.
 */
export function dyingStore(
  factory: BackendFactory<IQueueBackend>,
  url: string,
  point: CommandPoint | undefined,
  times = 1,
  kill = () => {},
  told: (passed: Passed) => void = () => {},
): DyingStore {
  const backends: IQueueBackend[] = [];
  let isDead = false;
  let left = times;
  const forEver = () => new Promise<never>(() => {});
  const die = () => {
    isDead = true;
    kill();
    for (const backend of backends) void backend.disconnect();
    return forEver();
  };
  const strikes = (passed: Passed) => {
    told(passed);
    if (point === undefined || !isAt(point, passed)) return false;
    left -= 1;
    return left === 0;
  };
  return {
    die,
    get isDead() {
      return isDead;
    },
    connection: (name, options, more) => {
      const backend = factory(name, { ...options, connection: { url } }, more);
      backends.push(backend);
      for (const command of COMMANDS) {
        const original = backend[command].bind(backend) as (...args: unknown[]) => Promise<unknown>;
        const dying = async (...args: unknown[]) => {
          if (isDead) return forEver();
          if (strikes({ when: 'before', command, args })) return die();
          const answer = await original(...args);
          if (isDead) return forEver();
          return strikes({ when: 'after', command, args, answer }) ? die() : answer;
        };
        Object.assign(backend, { [command]: dying });
      }
      return backend;
    },
  };
}
