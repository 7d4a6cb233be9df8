/** Types for binding a part of a task's input: `.s({ … })`, `.si(…)` and `.into(key, { … })`. */

type Scalar = string | number | boolean | bigint | symbol | null | undefined | void;

/** The same type, spelled out for hovers. */
export type Prettify<T> = T extends Scalar ? T : T extends object ? { [Key in keyof T]: T[Key] } & {} : T;

export type KeysOf<In> = In extends unknown ? keyof In : never;

/** `In` without the keys `K`, keeping `?` and `readonly`; distributes over unions. */
export type Without<In, K> = In extends unknown ? Pick<In, Exclude<keyof In, K>> : never;

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

/** Members of a union input that the bound part leaves possible. */
type Fits<In, Part> = In extends unknown ? (Part extends Partial<In> ? In : never) : never;

/** The same below a bound key: what an object literal there has and the input has not, is an error at that key. */
type BoundBelow<Part, In> = Part extends Scalar | readonly unknown[]
  ? unknown
  : unknown extends In
    ? unknown
    : {
        [Key in keyof Part]: Key extends KeysOf<In>
          ? BoundBelow<Part[Key], ValueAt<In, Key>>
          : NoSuchInput<Key>;
      };

/** What a member of the input has under the key. */
type ValueAt<In, Key> = In extends unknown ? (Key extends keyof In ? In[Key] : never) : never;

/**
 * `Part` itself, with every key that the input does not have turned into an error at that key; if no member of a union
 * input fits, the keys it can have at all are to have the values that they can have.
 */
export type Bound<Part, In> = {
  [Key in keyof Part]: Key extends KeysOf<Fits<In, Part>>
    ? Part[Key] & BoundBelow<Part[Key], ValueAt<In, Key>>
    : Key extends KeysOf<In>
      ? [Fits<In, Part>] extends [never]
        ? ValueAt<In, Key>
        : NoSuchInput<Key>
      : NoSuchInput<Key>;
};

/** Keys that are bound for sure: one that may be absent at run time stays open. */
type SurelyBound<Part> = { [Key in keyof Part]-?: undefined extends Part[Key] ? never : Key }[keyof Part];

/** What is left open of `In` once `Part` is bound. */
export type Open<In, Part> = In extends unknown
  ? Part extends Partial<In>
    ? Prettify<Without<In, SurelyBound<Part>>>
    : never
  : never;
