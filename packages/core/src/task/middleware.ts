/** Middleware and hooks: their types, the call through a list of middleware, and the check of a task's hooks. */
import { InvalidOptionError } from '../base/errors.js';
import { checkKnown, type OptionNames } from '../base/option-checks.js';
import type { TaskContext } from './context.js';

/** A call or workflow that is about to be sent. */
export interface OutgoingCall {
  /** The task's name; undefined for a workflow. */
  readonly task: string | undefined;
  readonly input: unknown;
  /** May be changed, for example to add a trace or a tenant. The headers of a workflow reach every step. */
  readonly headers: Record<string, string>;
}

/**
 * Wraps every send and every attempt of an app. The first in `createApp({ middleware })` is the outermost. Values that
 * `run` passes to `next` are added to `ctx` for later middleware and for handlers, with the type `Added`.
 * @example
 * const tenant: Middleware<{ tenant: string }> = {
 *   run: (ctx, next) => next({ tenant: ctx.headers.tenant ?? 'none' }),
 * };
 */
export interface Middleware<Added extends object = {}> {
  /** Wraps a send. `next` sends, and returns the id of the job or the workflow run. */
  send?(call: OutgoingCall, next: () => Promise<{ id: string }>): Promise<{ id: string }>;
  /**
   * Wraps an attempt. `next` runs the handler and returns its result; the value returned here becomes the result of the
   * job. An error thrown here fails the attempt.
   */
  run?(
    ctx: TaskContext,
    next: (...added: {} extends Added ? [added?: Added] : [added: Added]) => Promise<unknown>,
    input: unknown,
  ): Promise<unknown>;
}

/** The type that a list of middleware adds to contexts. */
export type AddedBy<List extends readonly unknown[]> = List extends readonly [infer First, ...infer Rest]
  ? (First extends Middleware<infer Added> ? Added : {}) & AddedBy<Rest>
  : {};

/** Middleware without the type of its additions. */
export interface AnyMiddleware {
  send?(call: OutgoingCall, next: () => Promise<{ id: string }>): Promise<{ id: string }>;
  run?(ctx: TaskContext, next: (...added: unknown[]) => Promise<unknown>, input: unknown): Promise<unknown>;
}

/**
 * Calls `innermost` through the middleware; the first is the outermost. `call` calls one middleware with `next`, which
 * continues with the later ones. The sender and the worker use it.
 */
export function throughMiddleware<Result>(
  middleware: readonly AnyMiddleware[],
  call: (layer: AnyMiddleware, next: () => Result) => Result,
  innermost: () => Result,
): Result {
  const from = (index: number): Result => {
    const layer = middleware[index];
    return layer === undefined ? innermost() : call(layer, () => from(index + 1));
  };
  return from(0);
}

/**
 * Functions that observe the attempts of a task. An error thrown by a hook is logged and has no other effect; use
 * middleware to change an outcome. Hooks run before the outcome is stored, so, like the handler, they may run more than
 * once. If middleware ends the attempt early, its additions are missing in the context of all hooks except `before`.
 *
 * A job can fail before its handler is called: its input is invalid, it expired, was revoked, lost its worker too often,
 * its task is unknown, or it cannot be read. Then `before` is not called, but `failure` (or `retry`) and `always` are: the
 * app's hooks always, the task's if the task is known. The context has `id`, `name`, `queue` and `attempt`, and everything
 * else that can be read: `headers` and `tags` may be empty, `name` may be `'unknown'`, and middleware has added nothing.
 * No hook is called for a step that is skipped because an earlier step failed or its group already has an outcome.
 * @example
 * const hooks: Hooks = {
 *   failure: (ctx, error) => console.error(`${ctx.name} ${ctx.id} failed`, error),
 * };
 */
export interface Hooks<Context = TaskContext, Added = {}> {
  /** Called before each attempt, inside the middleware. */
  before?(ctx: Context & Added, input: unknown): void | Promise<void>;
  /** Called after an attempt that returned a result. */
  success?(ctx: Context & Partial<Added>, result: unknown): void | Promise<void>;
  /** Called after an attempt that failed, if another attempt follows. */
  retry?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** Called after an attempt that failed, if no attempt follows; also for a job that fails before its handler is called. */
  failure?(ctx: Context & Partial<Added>, error: Error): void | Promise<void>;
  /** Called after each attempt, after all other hooks. */
  always?(ctx: Context & Partial<Added>): void | Promise<void>;
}

const HOOKS: OptionNames<Hooks> = { before: true, success: true, retry: true, failure: true, always: true };

/** Checks the hooks of a task or an app. @throws {InvalidOptionError} if a name is unknown, or a value is not a function. */
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
