/**
 * This module finds the engine of a backend. A backend that no engine owns, such as the memory store's, implements the
 * commands beyond BullMQ's contract as methods, and needs nothing else.
 */
import type { IQueueBackend } from 'bullmq';
import { isUmbelError } from '../../base/errors.js';
import type { EngineCommands } from './commands.js';
import type { EngineDriver, ServerFacts, StoreDemands, StoreRefusal } from './engine.js';
import { PGLITE } from './pglite/driver.js';
import { POSTGRES } from './postgres/driver.js';
import { REDIS } from './redis/driver.js';

const DRIVERS: readonly EngineDriver[] = [REDIS, PGLITE, POSTGRES];

/** Returns the engine that owns a backend; undefined for a backend that implements everything itself. */
export function driverOf(backend: IQueueBackend): EngineDriver | undefined {
  return DRIVERS.find((driver) => driver.owns(backend));
}

const commands = new WeakMap<IQueueBackend, EngineCommands>();

/** Returns the commands of a backend that BullMQ's contract lacks. */
export function commandsOf(backend: IQueueBackend): EngineCommands {
  let known = commands.get(backend);
  if (known === undefined) {
    known = driverOf(backend)?.commands(backend) ?? (backend as IQueueBackend & EngineCommands);
    commands.set(backend, known);
  }
  return known;
}

/**
 * Returns true for an error of a store command after which the same command may succeed.
 *
 * The message of an error does not prove its source: a handler, a schema or another client may throw the same message. So
 * only code that has just awaited a command of a backend may call this.
 */
export function isTransient(error: unknown): boolean {
  // Errors of Umbel and of parsers are not the store's, even if they quote one.
  if (!(error instanceof Error) || isUmbelError(error) || error instanceof SyntaxError) return false;
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && CODES.has(code)) || DRIVERS.some((driver) => driver.isTransient(error));
}

/** Codes of Node for a connection that failed. */
const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** Returns why a store refuses an app; undefined for other errors. */
export function refusalOf(error: unknown): StoreRefusal | undefined {
  if (!(error instanceof Error)) return undefined;
  for (const driver of DRIVERS) {
    const refusal = driver.refusalOf(error);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/**
 * Checks the store before a worker takes jobs; returns warnings.
 * @throws {StoreConfigurationError} if jobs cannot run with this store, or would be lost.
 */
export function checkStore(facts: ServerFacts, demands: StoreDemands): string[] {
  return DRIVERS.find(({ kind }) => kind === facts.kind)?.check(facts, demands) ?? [];
}
