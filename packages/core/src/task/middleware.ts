import { InvalidOptionError } from '../base/errors.js';
import { checkKnown, type OptionNames } from '../base/option-checks.js';
import type { TaskContext } from './context.js';

/** A call on its way out. */
export interface OutgoingCall {
  /** The task's name; undefined for a composition. */
  readonly task: string | undefined;
  readonly input: unknown;
  /** May be changed: a trace, a tenant. For a composition they go to every step. */
  readonly headers: Record<string, string>;
}

/**
 * Runs round every sending and every attempt of an app. The first in `createApp({ middleware })` is the outermost.
 * What `run` adds is in `ctx` for later middleware and for handlers, and is typed there by `Added`.
 */
export interface Middleware<Added extends object = {}> {
  /** Round a sending. `next` sends, and gives the job's id (for a composition, the run's). */
  send?(call: OutgoingCall, next: () => Promise<{ id: string }>): Promise<{ id: string }>;
  /**
   * Round an attempt. `next` runs the handler and gives its result, which may be replaced by returning another; what
   * is thrown here fails the attempt.
   */
  run?(
    ctx: TaskContext,
    next: (...added: {} extends Added ? [added?: Added] : [added: Added]) => Promise<unknown>,
    input: unknown,
  ): Promise<unknown>;
}

/** What a list of middleware adds to contexts. */
export type AddedBy<List extends readonly unknown[]> = List extends readonly [infer First, ...infer Rest]
  ? (First extends Middleware<infer Added> ? Added : {}) & AddedBy<Rest>
  : {};

/** Middleware whose additions are forgotten. */
export interface AnyMiddleware {
  send?(call: OutgoingCall, next: () => Promise<{ id: string }>): Promise<{ id: string }>;
  run?(ctx: TaskContext, next: (...added: unknown[]) => Promise<unknown>, input: unknown): Promise<unknown>;
}

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
