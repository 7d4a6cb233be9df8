/** A backend of which a test gives the commands that it needs. */
import { ErrorCode, type IQueueBackend } from 'bullmq';
import type { Primitives } from '../../src/store/primitives/jobs.js';

/** What a stub may be given: commands of BullMQ's contract and Umbel's own, with as much of an answer as is read of it. */
export type StubCommands = { [Name in keyof (IQueueBackend & Primitives)]?: unknown };

export function stubBackend(commands: StubCommands): IQueueBackend {
  const stub = {
    addFlow: async () => [],
    addJobs: async () => [],
    extendLocks: async () => [],
    extendLock: async () => 1,
    moveToActive: async () => [],
    moveToCompleted: async () => ({ result: undefined, finishedOn: 1 }),
    moveToFailed: async () => ({ result: undefined, finishedOn: 1 }),
    moveToDelayed: async () => {},
    moveToWaitingChildren: async () => true,
    moveStalledJobsToWait: async () => [],
    retryJob: async () => {},
    updateProgress: async () => {},
    addLog: async () => 1,
    getProcessedChildrenValues: async () => ({}),
    getIgnoredChildrenFailures: async () => ({}),
    getDependencyCounts: async () => [],
    getQueueMetaField: async () => null,
    getRanges: async () => [],
    ...commands,
  };
  return stub as unknown as IQueueBackend; // a test that needs more fails with "is not a function"
}

/** An error as BullMQ's backends throw it. */
export function refusal(code: keyof typeof ErrorCode): Error {
  return Object.assign(new Error(`refused: ${code}`), { code: ErrorCode[code] });
}

/** One that passes. */
export const passing = (message = 'LOADING Redis is loading the dataset in memory'): Error =>
  new Error(message);

/** A command that fails with these errors first, one after the other, and then gives this. */
export function failing<T>(errors: readonly Error[], value: T): { command: () => Promise<T>; calls: number } {
  const left = [...errors];
  const counted = {
    calls: 0,
    command: async () => {
      counted.calls += 1;
      const error = left.shift();
      if (error !== undefined) throw error;
      return value;
    },
  };
  return counted;
}
