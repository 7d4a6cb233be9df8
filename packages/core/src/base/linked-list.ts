/** Where an item of {@link LinkedItems} is. */
export interface Link<T> {
  readonly item: T;
  previous: Link<T> | undefined;
  next: Link<T> | undefined;
}

/**
 * Items in the order in which they were added, for what comes and goes thousands of times a second. A `Set` makes a new
 * table now and then, and the collector of young objects keeps all that the old one still refers to, and the next
 * tables, until all of the heap is collected; here nothing refers to what was removed.
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

  /** Whether it was there. */
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

  /** Where those are that are there now. */
  links(): Link<T>[] {
    const links: Link<T>[] = [];
    for (let link = this.#first; link !== undefined; link = link.next) links.push(link);
    return links;
  }

  /** Those that are there now, whatever is added or removed meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.links()
      .map(({ item }) => item)
      .values();
  }
}
