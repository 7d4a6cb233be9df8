import type { TaskContext } from '../running/context.js';

/**
 * Called round the attempts of a task. They observe: one that throws is told to the app's logger and changes nothing
 * (to change something, use middleware). They run before the outcome is stored, so like the handler once or more. The
 * later ones may run although middleware has ended the attempt before it gave what it adds.
 */
export interface Hooks<Context = TaskContext, Added = {}> {
  /** Before each attempt, within the middleware. */
  before?(ctx: Context & Added, input: unknown): void | Promise<void>;
  /** After an attempt that gave a result. */
  success?(ctx: Context & Partial<Added>, result: unknown): void | Promise<void>;
  /** After an attempt that failed, when another one follows. */
  retry?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** After an attempt that failed, when none follows. */
  failure?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** After each attempt, last of all. */
  always?(ctx: Context & Partial<Added>): void | Promise<void>;
}
