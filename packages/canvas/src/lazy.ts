/**
 * Lazy members of groups, which are read while they are sent. The first member determines the app, so a read may start
 * before the members are requested:
 *
 *     closed ─ sender() ─▶ started ─ read() ─▶ closed       close() ends a started read
 */
import { SENDER, type Sender } from '@umbel/core/internal';
import { type CanvasExpression, type LazyMembers, partsOf } from './expression.js';
import { CanvasError, oneSender } from './part.js';

/** A list that is not in memory as a whole. */
export type LazySource<Item> = Iterable<Item> | AsyncIterable<Item>;

/** An item of a source. It is wrapped, so that an item that is a promise is not awaited but refused. */
type Items = AsyncGenerator<{ readonly item: unknown }, void>;

/** Starts reading a source. */
export type Reader = () => Items;

/** Returns the member of an item. */
interface Member {
  readonly expression: CanvasExpression;
  readonly [SENDER]: Sender | undefined;
}

interface Reading {
  readonly items: Items;
  readonly first: ReturnType<Items['next']>;
}

export class LazyList implements LazyMembers {
  readonly #reader: Reader;
  readonly #memberOf: (item: unknown, index: number) => Member;
  #begun: Reading | undefined;

  /** @param memberOf Converts an item to a member, or throws. */
  constructor(reader: Reader, memberOf: (item: unknown, index: number) => Member) {
    this.#reader = reader;
    this.#memberOf = memberOf;
  }

  sender = async (): Promise<Sender | undefined> => {
    this.#begun ??= this.#begin();
    const { done, value } = await this.#begun.first;
    return done ? undefined : this.#memberOf(value.item, 0)[SENDER];
  };

  read = (): AsyncIterable<CanvasExpression> => this.#read();

  close = async (): Promise<void> => {
    const begun = this.#begun;
    this.#begun = undefined;
    await begun?.items.return();
  };

  async *#read(): AsyncGenerator<CanvasExpression, void> {
    const { items, first } = this.#begun ?? this.#begin();
    this.#begun = undefined;
    let sender: Sender | undefined;
    try {
      let next = await first;
      for (let index = 0; !next.done; index += 1) {
        const member = this.#memberOf(next.value.item, index);
        sender = oneSender([sender, member[SENDER]]);
        yield member.expression;
        next = await items.next();
      }
    } finally {
      await items.return();
    }
  }

  #begin(): Reading {
    const items = this.#reader();
    return { items, first: items.next() };
  }
}

/**
 * Returns a function that reads the source from its start.
 * @throws {CanvasError} at the second call, if the source can be read only once.
 */
export function readerOf(source: LazySource<unknown>): Reader {
  let isSpent = false;
  return () => {
    if (isSpent) {
      throw new CanvasError(
        'These members were read already, and their iterator can be read only once. To send them again, pass a ' +
          'list, or an object whose [Symbol.iterator] makes a new iterator each time.',
      );
    }
    const iterator =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    isSpent = (iterator as unknown) === source;
    return itemsOf(iterator);
  };
}

async function* itemsOf(iterator: Iterator<unknown> | AsyncIterator<unknown>): Items {
  let isOpen = false; // `return` is not called after the iterator has ended or failed
  try {
    for (;;) {
      isOpen = false;
      const next = await iterator.next();
      if (next.done) return;
      isOpen = true;
      yield { item: next.value };
    }
  } finally {
    if (isOpen) await iterator.return?.();
  }
}

/** Yields lists of `size` items; the last one may be shorter. */
export function inSlices(reader: Reader, size: number): Reader {
  return async function* slices() {
    let slice: unknown[] = [];
    for await (const { item } of reader()) {
      slice.push(item);
      if (slice.length < size) continue;
      yield { item: slice };
      slice = [];
    }
    if (slice.length > 0) yield { item: slice };
  };
}

/** Returns the lazy members of all groups in an expression. */
export function* lazyIn(expression: CanvasExpression): Generator<LazyMembers, void> {
  if (expression.kind === 'group' && 'read' in expression.members) yield expression.members;
  for (const part of partsOf(expression)) yield* lazyIn(part);
}

/** Returns true for iterables other than arrays, which are read at once. */
export function isLazy(value: unknown): value is LazySource<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}
