/**
 * Which types survive the wire. Values travel as JSON, so a type that JSON would silently change (a `Date`, a
 * `Map`, a function …) is rejected where the task is defined; compositions are then plain assignability.
 */

type Scalar = string | number | boolean | null;
type Absent = undefined | void;
type Atom = Scalar | Absent;

type Item = Scalar | readonly Item[] | { readonly [key: string]: Json };

/** A value JSON carries unchanged. `undefined` stands for an absent key, so a list cannot hold it. */
export type Json = Item | Absent;

type Foreign =
  | bigint
  | symbol
  | Date
  | RegExp
  | Promise<unknown>
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBuffer
  | ArrayBufferView
  | ((...args: never[]) => unknown);

export type IsAny<T> = 0 extends 1 & T ? true : false;

/**
 * `T` when JSON carries all of it, else a type that `T` is not assignable to. The object form is a mapped type and
 * therefore lazy, which keeps recursive types finite; the array form must not be mapped, since that is eager.
 */
type Wire<T> =
  IsAny<T> extends true
    ? T
    : unknown extends T
      ? T
      : T extends Atom
        ? T
        : T extends Foreign
          ? never
          : T extends readonly (infer Element)[]
            ? number extends T['length']
              ? readonly Wire<Exclude<Element, Absent>>[]
              : { [Key in keyof T]: {} extends Pick<T, Key> ? Wire<T[Key]> : Wire<Exclude<T[Key], Absent>> }
            : IsError<T> extends true
              ? never
              : { [Key in keyof T]: Wire<T[Key]> };

/** Plain data with a name and a message is assignable to `Error`, but has no stack. */
type IsError<T> = 'stack' extends keyof T ? (T extends Error ? true : false) : false;

type Kind<T> = T extends bigint
  ? 'a bigint'
  : T extends symbol
    ? 'a symbol'
    : T extends Date
      ? 'a Date'
      : T extends ReadonlyMap<unknown, unknown>
        ? 'a Map'
        : T extends ReadonlySet<unknown>
          ? 'a Set'
          : T extends (...args: never[]) => unknown
            ? 'a function'
            : 'not plain data';

/** Where and what: evaluated only once `Wire<T>` has failed, six levels deep at most. */
type Culprits<T, Path extends string, Depth extends 0[] = []> = Depth['length'] extends 6
  ? never
  : IsAny<T> extends true
    ? never
    : unknown extends T
      ? never
      : T extends Atom
        ? never
        : T extends Foreign
          ? `${Path} is ${Kind<T>}`
          : T extends readonly (infer Element)[]
            ?
                | Culprits<Element, `${Path}[]`, [...Depth, 0]>
                | (undefined extends Element ? `${Path}[] is undefined` : never)
            : IsError<T> extends true
              ? `${Path} is an Error`
              : {
                  [Key in keyof T & string]-?: Culprits<T[Key], `${Path}.${Key}`, [...Depth, 0]>;
                }[keyof T & string];

/** What the compiler prints when a schema or a result holds something that JSON cannot carry. */
export interface NotJsonSafe<out Where> {
  readonly 'JSON cannot carry this: use an ISO string or a codec': Where;
}

/** `Accepted` when JSON carries `T`, else `NotJsonSafe` naming every culprit below `Path`. */
export type WireSafe<T, Accepted, Path extends string> = [T] extends [Json]
  ? Accepted
  : [T] extends [Wire<T>]
    ? Accepted
    : NotJsonSafe<Culprits<T, Path>>;

/** Plain data with lists that can be changed: most results, which need no other type than their own. */
export type WithoutReadonly =
  | Scalar
  | Absent
  | WithoutReadonly[]
  | { readonly [key: string]: WithoutReadonly };

/**
 * `T` with lists that can be changed, at any depth: JSON gives a copy that nobody else has. What holds any JSON stays.
 * Lazy for objects, as `Wire` is.
 */
export type Received<T> = [Json] extends [T]
  ? T
  : T extends Atom
    ? T
    : T extends readonly (infer Element)[]
      ? number extends T['length']
        ? Received<Element>[]
        : { -readonly [Key in keyof T]: Received<T[Key]> }
      : T extends object
        ? { [Key in keyof T]: Received<T[Key]> }
        : T;
