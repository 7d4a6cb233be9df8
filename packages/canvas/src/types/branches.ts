/** Types of branches, sleeps and loops: what they require of the value by which they decide. */
import type { AnyStep, InputOf, OutputOf, Result, StepAfter } from '@umbel/core';
import type { NamedKeysOf, Prettify, ValueAt } from '@umbel/core/internal';

/** Values of the key that select the case of this name. The name is compared as text. */
type Named<Name> =
  | Name
  | (Name extends number ? `${Name}` : never)
  | (Name extends 'true' ? true : Name extends 'false' ? false : never)
  | (Name extends `${infer Number extends number}` ? Number : never);

/** The input of a case, with its name under the key. */
export type NeedsOfCase<Key extends string, Name, In> = unknown extends In
  ? { [K in Key]: Named<Name> }
  : In extends unknown
    ? Prettify<In & { [K in Key]: Named<Name> }>
    : never;

type Scalar = string | number | boolean | null;

/** Values with which a value of this type can be compared. Errors show this type. */
type ComparisonWith<Value> = (Value & Scalar) | null | Comparisons<(Value & Scalar) | null, Ordered<Value>>;
type Ordered<Value> = Value extends number ? number : Value extends string ? string : never;

interface Comparisons<Equal, Limit> {
  readonly eq?: Equal;
  readonly ne?: Equal;
  readonly gt?: Limit;
  readonly gte?: Limit;
  readonly lt?: Limit;
  readonly lte?: Limit;
  readonly in?: readonly Equal[];
  readonly exists?: boolean;
}

/** The message for a step that cannot be a test. */
interface TrueOrFalse {
  readonly '~gives': Result<string, boolean>;
}

/** The test. The values of a condition must fit the types that the branches have for its keys. */
export type TestOf<Test, In> = Test extends AnyStep
  ? OutputOf<Test> extends boolean
    ? Test
    : TrueOrFalse
  : {
      readonly [Key in keyof Test]: [ValueAt<In, Key>] extends [never]
        ? Test[Key]
        : unknown extends ValueAt<In, Key>
          ? Test[Key]
          : ComparisonWith<Exclude<ValueAt<In, Key>, undefined>>;
    };

type Widened<Operand> = Operand extends string
  ? string
  : Operand extends number
    ? number
    : Operand extends boolean
      ? boolean
      : never;

/** The widened type of the operand; a value that is compared with null only has an unknown type. */
type OperandsOf<C> = C extends Scalar
  ? Widened<C>
  : {
      [Name in keyof C]: Name extends 'exists'
        ? never
        : C[Name] extends readonly (infer Each)[]
          ? Widened<Each>
          : Widened<C[Name]>;
    }[keyof C];
type Compared<C> = [OperandsOf<C>] extends [never] ? unknown : OperandsOf<C> | null;

type Optional<C> = { [Key in keyof C]: C[Key] extends { readonly exists: boolean } ? Key : never }[keyof C];

/** The type of keys that only the condition names. A key is optional if the condition tests whether it exists. */
type NeedsOfCondition<C, In> = {
  [Key in Exclude<keyof C, NamedKeysOf<In> | Optional<C>>]: Compared<C[Key]>;
} & {
  [Key in Exclude<keyof C & Optional<C>, NamedKeysOf<In>>]?: Compared<C[Key]>;
};

/** The needs of the test and the branches together. */
export type NeedsOfTest<Test, In> = Test extends AnyStep
  ? Prettify<In & InputOf<Test>>
  : Prettify<In & NeedsOfCondition<Test, In>>;

/** The keys of a value that surely hold text. */
export type TextKeysOf<Value> = KeysOfType<Value, string>;

/** The keys of a value that surely hold a number. */
export type NumberKeysOf<Value> = KeysOfType<Value, number>;

type KeysOfType<Value, Type> = {
  [Key in keyof Value]-?: Value[Key] extends Type ? Key : never;
}[keyof Value] &
  string;

/** The compiler prints this at a key of a condition that the result of a turn does not have. */
interface NoSuchKey<out Key> {
  readonly 'the result of a turn has no such key': Key;
}

/** The compiler prints this for a value that is not an object, where a condition names keys. */
type KeyedBy<Value> = Value extends object ? keyof Value : never;

/** The `until` of a loop: a step that takes the result of a turn, or a condition on keys that it has. */
export type UntilOf<Until, Value> = Until extends AnyStep
  ? OutputOf<Until> extends boolean
    ? StepAfter<Result<'body', Value>, Result<string, boolean>>
    : TrueOrFalse
  : unknown extends Value
    ? Until
    : {
        readonly [Key in keyof Until]: Key extends KeyedBy<Value>
          ? unknown extends ValueAt<Value, Key>
            ? Until[Key]
            : ComparisonWith<Exclude<ValueAt<Value, Key>, undefined>>
          : NoSuchKey<Key>;
      };
