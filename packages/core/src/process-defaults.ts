/** What apps of this process go by where their options say nothing, as set by the program that has loaded them. */
import type { Connection } from './bullmq/connection.js';
import type { Logger } from './logger.js';

export interface ProcessDefaults {
  /** Instead of `console`. */
  readonly logger?: Logger;
  /** Instead of a Redis on this machine; the environment variable `UMBEL_URL` wins. */
  readonly connection?: Connection;
  /** What the program runs for its user: where files are watched (`watch`), instead of where the program is. */
  readonly mainModule?: string;
}

/** Process-wide: the program and the modules that it loads may have a copy of this package each. */
const DEFAULTS = Symbol.for('umbel.process-defaults');

const holder = globalThis as { [DEFAULTS]?: ProcessDefaults };

/** For programs that load the modules of others, such as a command line: to be called before they are loaded. */
export function setProcessDefaults(defaults: ProcessDefaults): void {
  holder[DEFAULTS] = defaults;
}

export function processDefaults(): ProcessDefaults {
  return holder[DEFAULTS] ?? {};
}

/** Writes to the logger that is the default at the time. */
export const defaultLogger: Logger = {
  info: (message) => loggerNow().info(message),
  warn: (message) => loggerNow().warn(message),
  error: (message) => loggerNow().error(message),
};

function loggerNow(): Logger {
  return processDefaults().logger ?? console;
}
