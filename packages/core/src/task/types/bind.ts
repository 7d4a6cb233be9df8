/** Types that bind a part of a task's input (`.s({ … })`, `.si(…)`, `.into(key, { … })`), and types of tasks by name. */
import type { AsyncResult } from '../../client/async-result.js';
import type { BulkOptions, SendOptions } from '../options.js';
import type { AnyContract, Handler, Signature } from './task.js';

type Scalar = string | number | boolean | bigint | symbol | null | undefined | void;

/** `T` with its keys expanded, for readable hovers. */
export type Prettify<T> = T extends Scalar ? T : T extends object ? { [Key in keyof T]: T[Key] } & {} : T;

export type KeysOf<In> = In extends unknown ? keyof In : never;

/** The named keys: for a type with an index signature, `keyof` is only `string`, even if the type has named keys too. */
export type NamedKeysOf<In> = In extends unknown
  ? keyof { [Key in keyof In as string extends Key ? never : number extends Key ? never : Key]: 1 }
  : never;

/** `In` without the keys `K`, keeping `?` and `readonly`. `Pick` is cheaper, but loses named keys beside an index signature. */
type Without<In, K> = string extends keyof In
  ? { [Key in keyof In as Key extends K ? never : Key]: In[Key] }
  : Pick<In, Exclude<keyof In, K>>;

/** The remaining input beside the key `K`. Members of a union without that key are dropped. */
export type RestOf<In, K> = In extends unknown ? ([K] extends [keyof In] ? Without<In, K> : never) : never;

/** The compiler prints this for `.s({})` on a task whose input is not an object. */
interface OneValue {
  readonly 'this task takes one value, not keys: use .s() or .si(value)': never;
}

export type Bindable<In> = In extends readonly unknown[]
  ? OneValue
  : In extends object
    ? Partial<In>
    : OneValue;

/** The compiler prints this at a bound key that the task's input does not have. */
interface NoSuchInput<out Key> {
  readonly 'this task has no such input': Key;
}

/** Members of a union input that remain possible with the bound part: those that have all of its keys. */
type Fits<In, Part> = In extends unknown
  ? keyof Part extends keyof In
    ? Part extends Partial<In>
      ? In
      : never
    : never
  : never;

/** The type of a key; for a union, of all members that have the key. */
export type ValueAt<In, Key> = In extends unknown ? (Key extends keyof In ? In[Key] : never) : never;

/** Applies `Bound` to the value of a bound key, if it is an object. */
type Below<Part, In> = Part extends Scalar | readonly unknown[]
  ? unknown
  : unknown extends In
    ? unknown
    : Bound<Part, In>;

/**
 * Checks `Part` at each key: a key that the input does not have, at any depth, becomes an error. Keys that every member of
 * a union has are checked first, because that decides most inputs cheaply.
 */
export type Bound<Part, In> = {
  [Key in keyof Part]: Key extends keyof In
    ? Below<Part[Key], In[Key]>
    : Key extends KeysOf<Fits<In, Part>>
      ? Below<Part[Key], ValueAt<In, Key>>
      : NoSuchInput<Key>;
};

/** Keys that are certainly bound. Keys that may be absent at run time, and those of an index signature, stay open. */
type SurelyBound<Part> = {
  [Key in keyof Part]-?: string extends Key ? never : undefined extends Part[Key] ? never : Key;
}[keyof Part];

/** The part of `In` that stays open when `Part` is bound. */
export type Open<In, Part> = In extends unknown
  ? keyof Part extends keyof In
    ? Part extends Partial<In>
      ? Prettify<Without<In, SurelyBound<Part>>>
      : never
    : never
  : never;

// Tasks by name.

/**
 * A task that is known only by its name and a result type that the caller states. The worker checks the input.
 * @example
 * const resize = app.signature<{ file: string }>('image.resize');
 * const result = await resize.delay({ path: 'a.png', width: 100 });
 */
export interface NamedTask<Out = unknown> extends Signature<string, unknown, Out> {
  readonly name: string;
  /** Sends the call with options. The input may be any value. */
  applyAsync(input: unknown, options: SendOptions<Out> & { ignoreResult: true }): Promise<AsyncResult<null>>;
  applyAsync(input: unknown, options?: SendOptions<Out>): Promise<AsyncResult<Out>>;
  /** Sends many calls, 500 per round trip, and returns their handles in the same order. */
  sendMany(inputs: Iterable<unknown>, options?: BulkOptions): Promise<AsyncResult<Out>[]>;
  /** Binds some keys. The others come from the previous result or from `delay`. Bound keys take precedence. */
  s(bound?: Readonly<Record<string, unknown>>): Signature<string, unknown, Out>;
  /** Immutable: binds the whole input and ignores the result of the previous step. */
  si(input?: unknown): Signature<string, unknown, Out>;
  /** Puts the whole result of the previous step into `key`. */
  into(key: string, rest?: Readonly<Record<string, unknown>>): Signature<string, unknown, Out>;
}

interface Nameable {
  readonly name: string;
  readonly '~extras': object;
}

/**
 * The tasks that a module exports, by task name.
 * @example
 * const client = app.client<typeof import('./tasks.js')>();
 * await client['image.resize'].delay({ path: 'a.png', width: 100 });
 */
export type Client<Module> = {
  readonly [Key in keyof Module as Module[Key] extends Nameable
    ? string extends Module[Key]['name']
      ? never
      : Module[Key]['name']
    : never]: Module[Key];
};

/** An object with the handler of each contract, under the same keys. */
export type Handlers<Contracts extends Readonly<Record<string, AnyContract>>, Added = {}> = {
  readonly [Key in keyof Contracts]: Handler<Contracts[Key], Added>;
};
