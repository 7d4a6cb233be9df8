/** Tasks that are known by their names. */
import type { AsyncResult } from '../results/async-result.js';
import type { BulkOptions, SendOptions } from '../tasks/options.js';
import type { AnyContract, Handler, Signature } from './task.js';

/** A task of which only the name is known, and what the caller says of its result. Its input is checked by the worker. */
export interface NamedTask<Out = unknown> extends Signature<string, unknown, Out> {
  readonly name: string;
  /** Sends the call with options; any input may be meant. */
  applyAsync(input: unknown, options: SendOptions<Out> & { ignoreResult: true }): Promise<AsyncResult<null>>;
  applyAsync(input: unknown, options?: SendOptions<Out>): Promise<AsyncResult<Out>>;
  /** Sends many calls, in slices of 500 that take one round trip each; gives their handles in the same order. */
  sendMany(inputs: Iterable<unknown>, options?: BulkOptions): Promise<AsyncResult<Out>[]>;
  /** Binds some keys; the others are taken from the previous result, or from `delay`. Bound keys win. */
  s(bound?: Readonly<Record<string, unknown>>): Signature<string, unknown, Out>;
  /** Immutable: binds everything; whatever the previous step gives is ignored. */
  si(input?: unknown): Signature<string, unknown, Out>;
  /** The previous result goes, whole, into `key`. */
  into(key: string, rest?: Readonly<Record<string, unknown>>): Signature<string, unknown, Out>;
}

interface Nameable {
  readonly name: string;
  readonly '~extras': object;
}

/** The tasks that a module exports, each under its own name. */
export type Client<Module> = {
  readonly [Key in keyof Module as Module[Key] extends Nameable
    ? string extends Module[Key]['name']
      ? never
      : Module[Key]['name']
    : never]: Module[Key];
};

/** A handler for each contract. */
export type Handlers<Contracts extends Readonly<Record<string, AnyContract>>, Added = {}> = {
  readonly [Key in keyof Contracts]: Handler<Contracts[Key], Added>;
};
