/** This module knows the errors of PostgreSQL and of its client: which are transient, which are refusals, and what to do. */
import type { StoreRefusal } from '../engine.js';

/** SQLSTATE of an error of a server; undefined for other errors. @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
function stateOf(error: Error): string | undefined {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  // An error of the client has a code of Node, and no severity.
  return typeof severity === 'string' && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
    ? code
    : undefined;
}

/**
 * Classes and codes of errors that pass: connection, serialization, deadlock, resources, shutdown, a cancelled statement, a
 * lock that was not to be had in time, a server that only reads after a failover.
 */
const TRANSIENT = /^(?:08|53|40001$|40P01$|55P03$|57014$|57P0[1-5]$|25006$|25P0[23]$|58030$)/;

/** Classes and codes of errors of the server that have nothing to do with the statement. */
const COMMON = /^(?:08|53|57P0[1-5]$|25006$|58030$)/;

/** Returns true for an error that every statement would have got: of the connection, or of the state of the server. */
export function isCommonError(error: unknown): boolean {
  const state = error instanceof Error ? stateOf(error) : undefined;
  return state === undefined || COMMON.test(state);
}

/** First words of errors of the client. Only the start is compared, because a message may quote a job. */
const MESSAGES = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error',
  'Client was closed',
  'Cannot use a pool after calling end',
  'Query read timeout',
  'connection error',
  'server closed the connection',
];

/** Returns true for an error after which the same statement may succeed. */
export function isPostgresTransient(error: Error): boolean {
  const state = stateOf(error);
  if (state !== undefined) return TRANSIENT.test(state);
  return MESSAGES.some((words) => error.message.startsWith(words));
}

const REFUSALS: readonly [StoreRefusal, RegExp][] = [
  ['credentials', /^28/],
  ['rights', /^42501$/],
  ['database', /^3D000$/],
];

/** Returns why the server refuses the app. */
export function postgresRefusal(error: Error): StoreRefusal | undefined {
  const state = stateOf(error);
  return state === undefined ? undefined : REFUSALS.find(([, states]) => states.test(state))?.[0];
}

/** Returns what to do about an error. */
export function postgresAdvice(error: Error | undefined): string | undefined {
  const state = error === undefined ? undefined : stateOf(error);
  return state === undefined ? undefined : RULES.find(([states]) => states.test(state))?.[1];
}

const RULES: readonly [RegExp, string][] = [
  [
    /^28/,
    'User or password is wrong, or pg_hba.conf does not let this user in: correct them in `connection` or UMBEL_URL, and ' +
      'encode special characters with encodeURIComponent.',
  ],
  [/^3D000$/, 'The server has no database with that name: create it, or correct the path of the URL.'],
  [
    /^42501$/,
    'The user of the URL lacks a right. To create the schema with another user, run `umbel migrate` with its URL; see ' +
      '"Rights" in docs/engines.md.',
  ],
  [
    /^53300$/,
    'The server has no free connection: raise max_connections, or lower `pool` at the end of the URL (?pool=5).',
  ],
  [/^53100$/, 'The disk of the server is full: free space.'],
  [/^25006$/, 'The server only reads, as after a failover: the URL should lead to the primary server.'],
];
