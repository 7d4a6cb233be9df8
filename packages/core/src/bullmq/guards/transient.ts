/** Which errors of the store go by themselves. */

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

const MESSAGES = [
  'Connection is closed',
  "Stream isn't writeable",
  'max retries per request',
  'Command timed out',
  'max number of clients',
  'Socket closed',
  'Connection lost',
  'Command aborted due to connection close',
  // A cluster that fails over, as ioredis tells of it.
  'Too many Cluster redirections',
  'Failed to refresh slots cache',
  'None of startup nodes is available',
  'Cluster isn',
];

/** True for an error after which the same command may succeed. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, previousErrors } = error as { code?: unknown; previousErrors?: unknown };
  if (typeof code === 'string' && CODES.has(code)) return true;
  const { message } = error;
  // Nothing of the transaction was done; ioredis tells why.
  if (message.startsWith('EXECABORT'))
    return !Array.isArray(previousErrors) || previousErrors.some(isTransient);
  return REPLIES.some((word) => message.startsWith(word)) || MESSAGES.some((part) => message.includes(part));
}
