/** This module resolves the `connection` option to an engine. */
import type { BackendFactory, ConnectionOptions } from 'bullmq';
import type { Logger } from '../base/test-override.js';
import type { Engine, Migrations } from './engine/engine.js';
import { resolveEngine } from './engine/resolve.js';

// Defaults of apps in this process, set by the program that loads them.

export interface ProcessDefaults {
  /** Default logger. Default: `console`. */
  readonly logger?: Logger;
  /** Default connection. The environment variable `UMBEL_URL` has precedence. Default: a local Redis. */
  readonly connection?: Connection;
  /** Main module of the user's program, whose files `watch` observes. Default: the main module of the process. */
  readonly mainModule?: string;
}

/** A process-wide symbol, because the program and the modules that it loads may use different copies of this package. */
const DEFAULTS = Symbol.for('umbel.process-defaults');

const globals = globalThis as { [DEFAULTS]?: ProcessDefaults };

/** Sets the defaults. Programs that load modules of a user, such as a CLI, call it before loading them. */
export function setProcessDefaults(defaults: ProcessDefaults): void {
  globals[DEFAULTS] = defaults;
}

export function processDefaults(): ProcessDefaults {
  return globals[DEFAULTS] ?? {};
}

/** Writes to the current default logger. */
export const defaultLogger: Logger = {
  info: (message) => currentLogger().info(message),
  warn: (message) => currentLogger().warn(message),
  error: (message) => currentLogger().error(message),
};

function currentLogger(): Logger {
  return processDefaults().logger ?? console;
}

/**
 * Where jobs are stored:
 * - a `redis://` or `rediss://` URL, BullMQ's connection options or an ioredis instance,
 * - a `postgres://` URL, which needs the package `pg`; `?schema=` names the schema (default `umbel`), `?pool=` the number
 *   of connections (default 10),
 * - `pglite:./folder`, PostgreSQL in this process on a folder, or `pglite:memory`; needs `@electric-sql/pglite`,
 * - `memory:`, the memory of this process, which needs `@umbel/testing`,
 * - `postgres({ pool })`, `pglite({ db })`, or a BullMQ backend factory such as `memory()` from `@umbel/testing`.
 */
export type Connection = string | ConnectionOptions | BackendFactory;

/** Returns the migrations of a store; undefined for one without a schema. */
export function storeMigrations(connection: Connection | undefined): Migrations | undefined {
  return resolveConnection(connection).migrations;
}

/**
 * Returns the engine of a connection. Default: `UMBEL_URL`, then the process default, then a local Redis. Opens nothing.
 * @throws {InvalidOptionError} for a URL with another scheme or an invalid one.
 */
export function resolveConnection(connection: Connection | undefined): Engine {
  const fromEnvironment = connection === undefined ? process.env.UMBEL_URL : undefined;
  const source = connection ?? (fromEnvironment || processDefaults().connection);
  return resolveEngine(fromEnvironment ? 'UMBEL_URL' : 'connection', source);
}
