/** Faults that a test lets happen. Each is armed by one line and strikes at its point. */

import type { AnyTask } from '@umbel/core';
import { checkOptions, type OptionNames } from '@umbel/core/internal';
import type { BackendCommand } from './memory/failing.js';

export interface CrashOptions {
  /** Where in an attempt the worker dies. */
  at: 'before-handler' | 'after-handler';
  /** The task whose attempt it is. Default: any. */
  task?: AnyTask | undefined;
  /** How often. Default once. */
  times?: number | undefined;
}

export interface LostLockOptions {
  /** The task whose attempt loses its lock. Default: any. */
  task?: AnyTask | undefined;
  times?: number | undefined;
}

export interface StoreErrorOptions {
  /** A method of BullMQ's backend: `addJob`, `addFlow`, `getJobData` …. */
  command: BackendCommand;
  /** Default: an `Error` that names the command. */
  error?: Error | undefined;
  /** How often. Default once. */
  times?: number | undefined;
}

const CRASH: OptionNames<CrashOptions> = { at: true, task: true, times: true };
const LOST_LOCK: OptionNames<LostLockOptions> = { task: true, times: true };
const STORE_ERROR: OptionNames<StoreErrorOptions> = { command: true, error: true, times: true };

interface Armed {
  readonly kind: 'before-handler' | 'after-handler' | 'lost-lock';
  readonly task: string | undefined;
  left: number;
}

/** What was armed and has not struck yet. */
export class Faults {
  readonly #armed: Armed[] = [];
  readonly #storeErrors: { command: string; error: Error; left: number }[] = [];

  armCrash(options: CrashOptions): void {
    const { at, task, times = 1 } = checkOptions(options, CRASH);
    this.#armed.push({ kind: at, task: task?.name, left: times });
  }

  armLostLock(options: LostLockOptions): void {
    const { task, times = 1 } = checkOptions(options, LOST_LOCK);
    this.#armed.push({ kind: 'lost-lock', task: task?.name, left: times });
  }

  armStoreError(options: StoreErrorOptions): void {
    const {
      command,
      error = new Error(`${options.command} failed`),
      times = 1,
    } = checkOptions(options, STORE_ERROR);
    this.#storeErrors.push({ command, error, left: times });
  }

  /** Whether a fault strikes here; it is used up then. */
  strikes(kind: Armed['kind'], task: string): boolean {
    const fault = this.#armed.find(
      (armed) => armed.kind === kind && armed.left > 0 && (armed.task === undefined || armed.task === task),
    );
    if (fault === undefined) return false;
    fault.left -= 1;
    return true;
  }

  /** The error that a command of the store fails with here; it is used up then. */
  storeError(command: string): Error | undefined {
    const fault = this.#storeErrors.find((armed) => armed.command === command && armed.left > 0);
    if (fault === undefined) return undefined;
    fault.left -= 1;
    return fault.error;
  }
}
