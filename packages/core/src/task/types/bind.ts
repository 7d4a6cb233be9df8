import type { AsyncResult } from '../../client/async-result.js';
import type { BulkOptions, SendOptions } from '../options.js';
import type { AnyContract, Handler, Signature } from './task.js';

/** Types for binding a part of a task's input: `.s({ … })`, `.si(…)` and `.into(key, { … })`. */

type Scalar = string | number | boolean | bigint | symbol | null | undefined | void;

/** The same type, spelled out for hovers. */
export type Prettify<T> = T extends Scalar ? T : T extends object ? { [Key in keyof T]: T[Key] } & {} : T;

export type KeysOf<In> = In extends unknown ? keyof In : never;

/** The keys by name: `keyof` gives only `string` for a type with an index signature, which other keys may have, too. */
export type NamedKeysOf<In> = In extends unknown
  ? keyof { [Key in keyof In as string extends Key ? never : number extends Key ? never : Key]: 1 }
  : never;

/**
 * `In` without the keys `K`, keeping `?` and `readonly`. `Pick` is the cheaper one, but loses the named keys of a type with
 * an index signature.
 */
type Without<In, K> = string extends keyof In
  ? { [Key in keyof In as Key extends K ? never : Key]: In[Key] }
  : Pick<In, Exclude<keyof In, K>>;

/** What is left to give beside `K`: of a union, the members that have that key. */
export type RestOf<In, K> = In extends unknown ? ([K] extends [keyof In] ? Without<In, K> : never) : never;

/** What the compiler prints for `.s({})` on a task whose input is not an object. */
interface OneValue {
  readonly 'this task takes one value, not keys: use .s() or .si(value)': never;
}

export type Bindable<In> = In extends readonly unknown[]
  ? OneValue
  : In extends object
    ? Partial<In>
    : OneValue;

/** What the compiler prints at a bound key that the task's input does not have. */
interface NoSuchInput<out Key> {
  readonly 'this task has no such input': Key;
}

/** Members of a union input that the bound part leaves possible: they have all of its keys, or the others would be lost. */
type Fits<In, Part> = In extends unknown
  ? keyof Part extends keyof In
    ? Part extends Partial<In>
      ? In
      : never
    : never
  : never;

/** What a member of the input has under the key. */
export type ValueAt<In, Key> = In extends unknown ? (Key extends keyof In ? In[Key] : never) : never;

/** The same for what is bound below a key, if that is an object. */
type Below<Part, In> = Part extends Scalar | readonly unknown[]
  ? unknown
  : unknown extends In
    ? unknown
    : Bound<Part, In>;

/**
 * What is wrong with `Part`, at each key: one that the input does not have, at any depth, becomes an error there. Keys
 * that all members of a union input have come first, since that is all there is to know of most inputs.
 */
export type Bound<Part, In> = {
  [Key in keyof Part]: Key extends keyof In
    ? Below<Part[Key], In[Key]>
    : Key extends KeysOf<Fits<In, Part>>
      ? Below<Part[Key], ValueAt<In, Key>>
      : NoSuchInput<Key>;
};

/** Keys that are bound for sure: one that may be absent at run time stays open, as does all that an index signature may name. */
type SurelyBound<Part> = {
  [Key in keyof Part]-?: string extends Key ? never : undefined extends Part[Key] ? never : Key;
}[keyof Part];

/** What is left open of `In` once `Part` is bound. */
export type Open<In, Part> = In extends unknown
  ? keyof Part extends keyof In
    ? Part extends Partial<In>
      ? Prettify<Without<In, SurelyBound<Part>>>
      : never
    : never
  : never;

// Tasks that are known by their names.

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
