/**
 * Decides which errors of the store pass by themselves.
 *
 * The words of an error prove nothing about where it comes from: a handler, a schema or another client may throw the same
 * ones. So only code that has just awaited a command of a backend may ask. It puts what it passes on into
 * `BackendOptions.outages`, and everything else asks `Store.isOutage`.
 */
import { isUmbelError } from '../../errors.js';

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

/** First words of what a Redis answers that starts, fails over, writes a snapshot or is full. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const REPLIES = [
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'BUSY',
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'UNBLOCKED',
  'MOVED',
  'NOSCRIPT',
  'ASK ',
];

/** First words of what a client says. Never looked for further on in a message: that may quote a job. */
const MESSAGES = [
  'Connection is closed',
  "Stream isn't writeable",
  'Reached the max retries per request',
  'Command timed out',
  'ERR max number of clients',
  'Socket closed',
  'Connection lost',
  'Command aborted due to connection close',
  // A cluster that fails over, as ioredis tells of it.
  'Too many Cluster redirections',
  'Failed to refresh slots cache',
  'None of startup nodes is available',
  'Cluster isn',
];

const STARTS = [...REPLIES, ...MESSAGES];

/** True for an error of a command of the store after which the same command may succeed. */
export function isTransient(error: unknown): boolean {
  // Neither Umbel's own errors nor those of a parser are the store's, whatever they quote.
  if (!(error instanceof Error) || isUmbelError(error) || error instanceof SyntaxError) return false;
  const { code, previousErrors } = error as { code?: unknown; previousErrors?: unknown };
  if (typeof code === 'string' && CODES.has(code)) return true;
  const { message } = error;
  // Nothing of the transaction was done; ioredis tells why.
  if (message.startsWith('EXECABORT'))
    return !Array.isArray(previousErrors) || previousErrors.some(isTransient);
  return STARTS.some((words) => message.startsWith(words));
}
