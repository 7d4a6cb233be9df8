import type { TaskContext } from '../running/context.js';

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
