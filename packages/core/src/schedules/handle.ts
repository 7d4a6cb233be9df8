/** A schedule, as a user has it in hand. */
import type { AsyncResult } from '../results/async-result.js';
import type { InputArgs, InputOf, Step } from '../types/step.js';
import type { ScheduleInfo } from './info.js';
import type { Scheduling, SyncOptions, SyncReport } from './schedules.js';

/** One schedule of an app. It is in the store once `sync` has been called, or a worker that declares it was started. */
export interface ScheduleHandle<Out = unknown> {
  readonly name: string;
  /**
   * The next slots by what is stored, or is declared if nothing is; those of a paused one too. With jitter they are fired
   * later. Default 5, at most 1,000.
   * @throws {UnknownScheduleError} if it is neither.
   */
  next(count?: number): Promise<Date[]>;
  /** What the store has of it. @throws {UnknownScheduleError} if it has nothing, and this program does not declare it. */
  info(): Promise<ScheduleInfo>;
  /**
   * Fires nothing until `resume`, also no slots that wait for a run; what runs goes on. It stays paused whatever is
   * deployed. @throws {UnknownScheduleError} if it is not in the store.
   */
  pause(): Promise<void>;
  /** Fires slots again, from the next one on: those in the pause are not caught up with. @throws as `pause`. */
  resume(): Promise<void>;
  /**
   * Sends its target at once, also while it is paused or another run goes on; its slots stay as they are. The handler
   * finds the moment in the header `umbel-scheduled-at`.
   * @throws as `pause`, and {ValidationError} if an input does not fit any more.
   */
  runNow(): Promise<AsyncResult<Out>>;
  /**
   * Removes it from the store; what it has sent goes on. Of one that is still declared, the next `sync`, also that of a
   * worker that starts, stores it anew.
   */
  remove(): Promise<void>;
}

/** All schedules of an app. */
export interface Schedules {
  /** Every schedule in the store, and those that this program declares, by name. */
  list(): Promise<ScheduleInfo[]>;
  /** The handle of any schedule, by its name. */
  get(name: string): ScheduleHandle;
  /**
   * Stores what this program declares. Workers do so when they start. What has changed keeps its pause, and its last slot
   * if only other things than its slots have. Many programs may do so at the same time.
   * @throws {ScheduleError} if an input of a target does not fit its task's schema; nothing is stored then.
   */
  sync(options?: SyncOptions): Promise<SyncReport>;
}

/** What the compiler shows where a target would have to be given input at each slot. */
export interface InputStillNeeded<In> {
  readonly 'bind the whole input: a schedule gives none': In;
}

/** What is scheduled: anything that can be sent as it is. */
export type ScheduleTarget<S extends Step<string, never, unknown>> =
  [] extends InputArgs<InputOf<S>> ? unknown : InputStillNeeded<InputOf<S>>;

/** A handle by name; `scheduling` gives what answers for the app here and now. */
export function scheduleHandle(name: string, scheduling: () => Scheduling): ScheduleHandle {
  return {
    name,
    next: (count) => scheduling().next(name, count),
    info: () => scheduling().info(name),
    pause: () => scheduling().pause(name),
    resume: () => scheduling().resume(name),
    runNow: () => scheduling().runNow(name),
    remove: () => scheduling().remove(name),
  };
}
