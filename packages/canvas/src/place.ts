import { isPlainObject } from '@umbel/core/internal';
import { CanvasError } from './errors.js';
import { nameOf } from './part.js';

/** Of a long path, so much is shown. */
const SHOWN = 200;

/** A value within data that may come from anywhere, with where it stands and how many expressions are above it. */
export class Place {
  constructor(
    readonly value: unknown,
    readonly path = '',
    readonly depth = 0,
  ) {}

  get isAbsent(): boolean {
    return this.value === undefined;
  }

  /** The fields of an object, absent ones too. @throws {CanvasError} if it has others, or is no object. */
  fields<Name extends string>(names: readonly Name[]): Record<Name, Place> {
    const record = this.record();
    const known: ReadonlySet<string> = new Set(names);
    for (const name of Object.keys(record)) {
      if (!known.has(name)) throw this.#at(name).wrong('absent: there is no such field');
    }
    return Object.fromEntries(names.map((name) => [name, this.#at(name)])) as Record<Name, Place>;
  }

  /** The fields of an object, whatever their names. */
  entries(): [name: string, place: Place][] {
    return Object.keys(this.record()).map((name) => [name, this.#at(name)]);
  }

  /** The items of a list. */
  items(): Place[] {
    if (!Array.isArray(this.value)) throw this.wrong('a list');
    return Array.from(this.value, (item: unknown, index) => this.#below(item, `[${index}]`));
  }

  text(): string {
    if (typeof this.value !== 'string') throw this.wrong('text');
    return this.value;
  }

  /** @throws {CanvasError} unless it is this value. */
  exactly<const Value>(expected: Value): Value {
    if (this.value !== expected) throw this.wrong(`${expected}, if it is there`);
    return expected;
  }

  record(): Record<string, unknown> {
    if (!isPlainObject(this.value)) throw this.wrong('an object');
    return this.value;
  }

  /** The same place, one expression further down. */
  deeper(): Place {
    return new Place(this.value, this.path, this.depth + 1);
  }

  wrong(expected: string): CanvasError {
    const { value } = this;
    return this.error(
      `must be ${expected}, not ${typeof value === 'string' ? `"${shown(value)}"` : nameOf(value)}.`,
    );
  }

  error(message: string): CanvasError {
    return new CanvasError(`${this.path === '' ? 'The data' : shown(this.path)} ${message}`);
  }

  #at(name: string): Place {
    const record = this.record();
    const value = Object.hasOwn(record, name) ? record[name] : undefined;
    return this.#below(value, this.path === '' ? name : `.${name}`);
  }

  #below(value: unknown, name: string): Place {
    return new Place(value, `${this.path}${name}`, this.depth);
  }
}

/** The end of a long text: of a path, that is where the fault is. */
function shown(text: string): string {
  return text.length > SHOWN ? `…${text.slice(-SHOWN)}` : text;
}
