/** Types of keys that sleeps and loops read from a value. */

/** The keys of a value that surely hold text. */
export type TextKeysOf<Value> = KeysOfType<Value, string>;

/** The keys of a value that surely hold a number. */
export type NumberKeysOf<Value> = KeysOfType<Value, number>;

type KeysOfType<Value, Type> = {
  [Key in keyof Value]-?: Value[Key] extends Type ? Key : never;
}[keyof Value] &
  string;
