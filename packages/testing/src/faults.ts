/** Faults that a test injects: worker crashes, lost locks and store errors. Each is armed once and then strikes. */

import type { AnyTask } from '@umbel/core';
import { checkOptions, type OptionNames } from '@umbel/core/internal';
import type { BackendCommand } from './memory/failing.js';

/** Options of `crashWorker`. */
export interface CrashOptions {
  /** Where in an attempt the worker crashes. */
  at: 'before-handler' | 'after-handler';
  /** Task whose attempt crashes the worker. Default: any. */
  task?: AnyTask | undefined;
  /** Number of crashes. Default 1. */
  times?: number | undefined;
}

/** Options of `loseLock`. */
export interface LostLockOptions {
  /** Task whose attempt loses its lock. Default: any. */
  task?: AnyTask | undefined;
  /** Number of lost locks. Default 1. */
  times?: number | undefined;
}

/** Options of `failStore`. */
export interface StoreErrorOptions {
  /** Method of BullMQ's backend: `addJob`, `addFlow`, `getJobData` …. */
  command: BackendCommand;
  /** Error of the command. Default: an `Error` that names the command. */
  error?: Error | undefined;
  /** Number of failing commands. Default 1. */
  times?: number | undefined;
}

const CRASH: OptionNames<CrashOptions> = { at: true, task: true, times: true };
const LOST_LOCK: OptionNames<LostLockOptions> = { task: true, times: true };
const STORE_ERROR: OptionNames<StoreErrorOptions> = { command: true, error: true, times: true };

interface Armed {
  readonly kind: 'before-handler' | 'after-handler' | 'lost-lock';
  readonly task: string | undefined;
  remaining: number;
}

/** The armed faults. */
export class Faults {
  readonly #armed: Armed[] = [];
  readonly #storeErrors: { command: string; error: Error; remaining: number }[] = [];

  armCrash(options: CrashOptions): void {
    const { at, task, times = 1 } = checkOptions(options, CRASH);
    this.#armed.push({ kind: at, task: task?.name, remaining: times });
  }

  armLostLock(options: LostLockOptions): void {
    const { task, times = 1 } = checkOptions(options, LOST_LOCK);
    this.#armed.push({ kind: 'lost-lock', task: task?.name, remaining: times });
  }

  armStoreError(options: StoreErrorOptions): void {
    const {
      command,
      error = new Error(`${options.command} failed`),
      times = 1,
    } = checkOptions(options, STORE_ERROR);
    this.#storeErrors.push({ command, error, remaining: times });
  }

  /** Whether a fault strikes here. It counts as used then. */
  strikes(kind: Armed['kind'], task: string): boolean {
    const fault = this.#armed.find(
      (armed) =>
        armed.kind === kind && armed.remaining > 0 && (armed.task === undefined || armed.task === task),
    );
    if (fault === undefined) return false;
    fault.remaining -= 1;
    return true;
  }

  /** Returns the error that a store command fails with, if any. It counts as used then. */
  storeError(command: string): Error | undefined {
    const fault = this.#storeErrors.find((armed) => armed.command === command && armed.remaining > 0);
    if (fault === undefined) return undefined;
    fault.remaining -= 1;
    return fault.error;
  }
}
