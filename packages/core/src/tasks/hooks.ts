import type { TaskContext } from '../running/context.js';

/**
 * Called round the attempts of a task. They observe: one that throws is told to the app's logger and changes nothing
 * (to change something, use middleware). They run before the outcome is stored, so like the handler once or more.
 */
export interface Hooks<Context = TaskContext> {
  /** Before each attempt. */
  before?(ctx: Context, input: unknown): void | Promise<void>;
  /** After an attempt that gave a result. */
  success?(ctx: Context, result: unknown): void | Promise<void>;
  /** After an attempt that failed, when another one follows. */
  retry?(ctx: Context, error: Error): void | Promise<void>;
  /** After an attempt that failed, when none follows. */
  failure?(ctx: Context, error: Error): void | Promise<void>;
  /** After each attempt, last of all. */
  always?(ctx: Context): void | Promise<void>;
}
