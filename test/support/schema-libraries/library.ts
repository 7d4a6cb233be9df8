/** One schema library as the tests of all of them use it: the same shapes, written in its own way. */
import type { StandardSchemaV1 } from '@standard-schema/spec';

type Schema = StandardSchemaV1;

/** The schemas of one library. An absent one cannot be written with the library. */
export interface Library {
  /** As docs/schemas.md names it. */
  readonly name: string;
  /** The npm package with its version; undefined for a schema without a library. */
  readonly package: string | undefined;
  /** What docs/schemas.md says about writing it, as Markdown. An absent way does not exist. */
  readonly ways: {
    /** What `input` takes. */
    readonly input: string;
    readonly asynchronous?: string;
    readonly stripped?: string;
    readonly kept?: string;
    readonly refused?: string;
    readonly jsonSchema?: string;
  };
  /** `{ l: { b: number }[] }` */
  readonly nested: Schema;
  /** `{ name: string }`, which asynchronously refuses the name `taken`. */
  readonly asynchronous?: Schema;
  /** `{ a: number }`: what happens to other keys. */
  readonly keys: {
    readonly byDefault: Schema;
    readonly stripped?: Schema;
    readonly kept?: Schema;
    readonly refused?: Schema;
  };
  /** `{ o: { a: number } }`, without other keys at both levels. */
  readonly refusedBelow?: Schema;
  /** `{ size?: number }`, 1 by default. */
  readonly fixedDefault: Schema;
  /** `{ id?: string }`, computed by default. */
  readonly computedDefault: (next: () => string) => Schema;
  /** `{ at: string }` that the handler receives as a `Date`. */
  readonly codec: Schema;
  /** `{ n: number }`, as one would write it first. */
  readonly number: Schema;
  /** `{ n: number }`, sent as a number or as text. */
  readonly coerced?: Schema;
  /** `{ v: string | number }` */
  readonly union: Schema;
  /** `{ kind: 'mail', to: string } | { kind: 'sms', phone: number }` */
  readonly tagged: Schema;
  /** `{ [key: string]: number }` */
  readonly record: Schema;
  /** `{ value: number, children: … [] }` */
  readonly recursive: Schema;
  /** `{ list: readonly string[] }` */
  readonly readonly?: Schema;
  /** `{ id: string }` with a brand. */
  readonly branded?: Schema;
  /** `{ text: string, note?: string, size?: number, at: string → Date }`, with a JSON Schema if the library has any. */
  readonly described?: Schema;
}
