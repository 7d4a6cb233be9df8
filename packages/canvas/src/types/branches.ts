/** Types of branches: what `match` and `when` require of the value by which they decide. */
import type { AnyStep, InputOf, OutputOf, Result } from '@umbel/core';
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
