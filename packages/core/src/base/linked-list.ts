/** One entry of {@link LinkedItems}, by which its item can be removed. */
export interface Link<T> {
  readonly item: T;
  previous: Link<T> | undefined;
  next: Link<T> | undefined;
}

/**
 * A doubly linked list in the order of insertion, for items that are added and removed thousands of times a second.
 * A `Set` replaces its table from time to time, and the old table keeps removed items reachable until a full garbage
 * collection. This list keeps no reference to a removed item.
 */
export class LinkedItems<T> implements Iterable<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  add(item: T): Link<T> {
    const link: Link<T> = { item, previous: this.#last, next: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.next = link;
    this.#last = link;
    return link;
  }

  /** Removes the entry. Returns false if it was not in the list. */
  remove(link: Link<T>): boolean {
    const { previous, next } = link;
    if (previous === undefined && this.#first !== link) return false;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    link.previous = undefined;
    link.next = undefined;
    return true;
  }

  /** Returns a copy of the current entries. */
  links(): Link<T>[] {
    const links: Link<T>[] = [];
    for (let link = this.#first; link !== undefined; link = link.next) links.push(link);
    return links;
  }

  /** Iterates over a copy, so the list may change during the iteration. */
  [Symbol.iterator](): Iterator<T> {
    return this.links()
      .map(({ item }) => item)
      .values();
  }
}
