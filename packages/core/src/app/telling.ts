/** How an app tells its logger something: under its name, and what repeats not every time. */
import { escaped } from '../errors/printable.js';
import type { Logger } from '../logger.js';
import { performance } from '../real-timers.js';

/** While the same error comes again and again, as many times a second from a lost store, it is told this rarely. */
const REPEATED_MS = 10_000;

export interface Telling {
  readonly info: (message: string) => void;
  readonly warn: (message: string) => void;
  /** A warning that is said once, however often it would be. */
  readonly once: (message: string) => void;
  /** @param message In the place of the error's own. */
  readonly error: (error: Error, message?: string) => void;
}

export function tellingOf(app: string, logger: Logger): Telling {
  // What is told may quote the store: it stays on its line, and no terminal obeys it.
  const named = (message: string) => `umbel "${app}": ${escaped(message)}`;
  const told = new Set<string>();
  let last = '';
  let lastAt = Number.NEGATIVE_INFINITY;
  return {
    info: (message) => logger.info(named(message)),
    warn: (message) => logger.warn(named(message)),
    once(message) {
      if (told.has(message)) return;
      told.add(message);
      logger.warn(named(message));
    },
    error(error, message = error.message || error.name) {
      const now = performance.now();
      if (message === last && now - lastAt < REPEATED_MS) return;
      last = message;
      lastAt = now;
      logger.error(named(message));
    },
  };
}
