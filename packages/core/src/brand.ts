/** By which apps are known, also those of another copy of this package. */
export const APP: unique symbol = Symbol.for('umbel.app');
