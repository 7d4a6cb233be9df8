import { InvalidOptionError } from '../errors.js';
import type { TaskContext } from '../running/context.js';
import { checkKnown, type OptionNames } from './known-options.js';

/**
 * Called round the attempts of a task. They observe: one that throws is told to the app's logger and changes nothing
 * (to change something, use middleware). They run before the outcome is stored, so like the handler once or more. The
 * later ones may run although middleware has ended the attempt before it gave what it adds.
 *
 * A job that fails before its handler is called has no `before`: its input is refused, it has expired, was revoked, has
 * lost its worker too often, its task is unknown or it cannot be read. Its `failure` (or `retry`) and `always` are called
 * all the same, the app's hooks always, the task's where the task is known. The context then has `id`, `name`, `queue` and
 * `attempt`, and what else of the job can be read: `headers` and `tags` may be empty, `name` may be `'unknown'`, and
 * middleware has added nothing. Steps that are not run since an earlier one failed, or since their group has its outcome,
 * call none: the failure is that of the earlier step.
 */
export interface Hooks<Context = TaskContext, Added = {}> {
  /** Before each attempt, within the middleware. */
  before?(ctx: Context & Added, input: unknown): void | Promise<void>;
  /** After an attempt that gave a result. */
  success?(ctx: Context & Partial<Added>, result: unknown): void | Promise<void>;
  /** After an attempt that failed, when another one follows. */
  retry?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** After an attempt that failed, when none follows; also of a job that fails before its handler is called. */
  failure?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** After each attempt, last of all. */
  always?(ctx: Context & Partial<Added>): void | Promise<void>;
}

const HOOKS: OptionNames<Hooks> = { before: true, success: true, retry: true, failure: true, always: true };

/** @throws {InvalidOptionError} if a hook is none that is called, or no function. */
export function checkHooks(hooks: Hooks | undefined): void {
  if (hooks === undefined) return;
  if (typeof hooks !== 'object' || hooks === null)
    throw new InvalidOptionError('hooks', 'an object of functions', hooks);
  checkKnown(hooks, HOOKS, 'hooks.');
  for (const name of Object.keys(HOOKS) as (keyof Hooks)[]) {
    const hook: unknown = hooks[name];
    if (hook !== undefined && typeof hook !== 'function')
      throw new InvalidOptionError(`hooks.${name}`, 'a function', hook);
  }
}
