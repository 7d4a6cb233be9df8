/**
 * Types that JSON carries unchanged. All values are stored as JSON, so a type that JSON would silently change (a `Date`, a
 * `Map`, a function …) is rejected where the task is defined; in workflows, plain assignability is then enough.
 */

type Scalar = string | number | boolean | null;
type Absent = undefined | void;
type Atom = Scalar | Absent;

type Item = Scalar | readonly Item[] | { readonly [key: string]: Json };

/** A value that JSON carries unchanged. `undefined` means an absent key, so a list cannot contain it. */
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
 * `T` if JSON carries all of it, otherwise a type that `T` is not assignable to. Objects use a mapped type, which is lazy
 * and so keeps recursive types finite. Arrays must not be mapped, because that is eager.
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

/** Requires `stack`, because plain data with a name and a message is also assignable to `Error`. */
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

/** Path and kind of every invalid part. Evaluated only when `Wire<T>` has failed, at most six levels deep. */
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

/** The compiler prints this if a schema or a result contains a type that JSON cannot carry. */
export interface NotJsonSafe<out Where> {
  readonly 'JSON cannot carry this: use an ISO string or a codec': Where;
}

/** `Accepted` if JSON carries `T`, otherwise `NotJsonSafe` with every invalid part below `Path`. */
export type WireSafe<T, Accepted, Path extends string> = [T] extends [Json]
  ? Accepted
  : [T] extends [Wire<T>]
    ? Accepted
    : NotJsonSafe<Culprits<T, Path>>;

/** Plain data with mutable lists. Most results have such a type and need no conversion by `Received`. */
export type WithoutReadonly =
  | Scalar
  | Absent
  | WithoutReadonly[]
  | { readonly [key: string]: WithoutReadonly };

/**
 * `T` with mutable lists at any depth, because a value parsed from JSON is a fresh copy. Types that accept any JSON stay
 * unchanged. Lazy for objects, as `Wire` is.
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
