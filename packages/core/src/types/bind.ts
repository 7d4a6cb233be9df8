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
