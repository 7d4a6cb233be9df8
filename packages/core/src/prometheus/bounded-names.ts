/** Names that come from handlers, as values of a label: each one makes another series, which costs memory for ever. */
export class BoundedNames {
  readonly #known = new Set<string>();
  readonly #most: number;

  /** @param most How many different names are let through; the rest are `other`. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The name, or `other` for one that is no class's name, or comes after too many. */
  of(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= this.#most || !/^[A-Za-z_$][\w$]{0,63}$/.test(name)) return 'other';
    this.#known.add(name);
    return name;
  }
}
