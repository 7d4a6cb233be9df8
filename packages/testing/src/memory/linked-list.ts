import { spanOf } from './ranges.js';

/** A member of at most one {@link LinkedList}: the links live in the member, so removal needs no search. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/** A list with constant-time push and pop at both ends and removal of any member. */
export class LinkedList<T extends Linked<T>> implements Iterable<T> {
  #head: T | undefined;
  #tail: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  pushHead(item: T): void {
    item.previous = undefined;
    item.next = this.#head;
    if (this.#head) this.#head.previous = item;
    else this.#tail = item;
    this.#head = item;
    this.#size += 1;
  }

  pushTail(item: T): void {
    item.next = undefined;
    item.previous = this.#tail;
    if (this.#tail) this.#tail.next = item;
    else this.#head = item;
    this.#tail = item;
    this.#size += 1;
  }

  popTail(): T | undefined {
    const item = this.#tail;
    if (item) this.remove(item);
    return item;
  }

  /** Takes out a member of this list; the caller knows that it is one. */
  remove(item: T): void {
    if (item.previous) item.previous.next = item.next;
    else this.#head = item.next;
    if (item.next) item.next.previous = item.previous;
    else this.#tail = item.previous;
    item.previous = undefined;
    item.next = undefined;
    this.#size -= 1;
  }

  /** The members of a Redis range, head first. */
  range(start: number, stop: number): T[] {
    const { from, to } = spanOf(start, stop, this.#size);
    const found: T[] = [];
    if (from >= to) return found;
    if (to === this.#size) {
      for (let item = this.#tail, left = to - from; item && left > 0; item = item.previous, left -= 1) {
        found.push(item);
      }
      return found.reverse();
    }
    let index = 0;
    for (let item = this.#head; item && index < to; item = item.next, index += 1) {
      if (index >= from) found.push(item);
    }
    return found;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.#head; item; item = item.next) yield item;
  }
}
