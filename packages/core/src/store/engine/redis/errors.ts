/** This module knows the errors of Redis and of its client: which are transient, which are refusals, and what to do. */
import type { StoreRefusal } from '../engine.js';

/** First words of errors of a Redis that starts, fails over, writes a snapshot or is full. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
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

/** First words of errors of a client. Only the start is compared, because a message may quote a job. */
const MESSAGES = [
  'Connection is closed',
  "Stream isn't writeable",
  'Reached the max retries per request',
  'Command timed out',
  'ERR max number of clients',
  'Socket closed',
  'Connection lost',
  'Command aborted due to connection close',
  // ioredis's errors for a cluster that fails over.
  'Too many Cluster redirections',
  'Failed to refresh slots cache',
  'None of startup nodes is available',
  'Cluster isn',
];

const STARTS = [...REPLIES, ...MESSAGES];

/** Returns true for an error after which the same command may succeed. */
export function isRedisTransient(error: Error): boolean {
  const { message } = error;
  // The transaction was not executed; `previousErrors` has the reasons.
  if (message.startsWith('EXECABORT')) {
    const { previousErrors } = error as { previousErrors?: unknown };
    return (
      !Array.isArray(previousErrors) ||
      previousErrors.some((each) => each instanceof Error && isRedisTransient(each))
    );
  }
  return STARTS.some((words) => message.startsWith(words));
}

const REFUSALS: readonly [StoreRefusal, RegExp][] = [
  ['credentials', /^(?:NOAUTH|WRONGPASS|ERR invalid password|ERR AUTH )/],
  ['rights', /^NOPERM/],
  ['database', /^ERR (?:DB index is out of range|invalid DB index)/],
];

/** Returns why Redis refuses the app. */
export function redisRefusal({ message }: Error): StoreRefusal | undefined {
  return REFUSALS.find(([, words]) => words.test(message))?.[0];
}

/** Returns what to do about an error. @param reason The message of the error, or `silence`. */
export function redisAdvice(reason: string, isEncrypted: boolean): string | undefined {
  return RULES.find(
    ({ says, isEncrypted: required = isEncrypted }) => required === isEncrypted && says.test(reason),
  )?.advice;
}

/** The first matching rule applies. `isEncrypted`: whether our side uses TLS; absent if it does not matter. */
const RULES: readonly { says: RegExp; isEncrypted?: boolean; advice: string }[] = [
  {
    says: /^NOAUTH/,
    advice:
      'The store requires a password: set `connection` or UMBEL_URL to redis://:password@host or redis://user:password@host.',
  },
  {
    says: /^(?:WRONGPASS|ERR invalid password|ERR AUTH )/,
    advice:
      'User or password is wrong: correct them in `connection` or UMBEL_URL, and encode special characters with encodeURIComponent.',
  },
  {
    says: /^NOPERM/,
    advice: 'The user of the URL lacks a permission: see "Redis user (ACL)" in docs/security.md.',
  },
  {
    says: /^ERR (?:DB index is out of range|invalid DB index)/,
    advice:
      'The store has no database with that number: correct the end of the URL, or `databases` in redis.conf.',
  },
  {
    says: /Unknown RESP type|Protocol error/,
    advice:
      'The server at this address is not Redis: correct the host and the port in `connection` or UMBEL_URL.',
  },
  {
    says: /certificate|CERT_/,
    isEncrypted: true,
    advice:
      'Node does not trust the certificate of the store: add the authority that signed it to NODE_EXTRA_CA_CERTS, or pass `connection: { host, port, tls: { ca } }`.',
  },
  {
    says: /^silence$|wrong version number|packet length too long/,
    isEncrypted: true,
    advice: 'Check that the store uses TLS. If it does not, start the URL with redis://.',
  },
  {
    says: /ECONNRESET|EPIPE/,
    isEncrypted: false,
    advice:
      'If the store closes every connection at once, it may require TLS: then start the URL with rediss://.',
  },
];
