/** This module adds advice to errors of the store: what to check, and how to fix it. */
import { connectionFacts, type ResolvedConnection, shownConnection } from './connection.js';

/** Returns whether Redis rejected the credentials. */
export function isRefusedUser(error: unknown): error is Error {
  return startsWith(error, /^(?:NOAUTH|WRONGPASS|ERR invalid password|ERR AUTH )/);
}

/** Returns whether the Redis user lacks a permission. */
export function isRefusedRight(error: unknown): error is Error {
  return startsWith(error, /^NOPERM/);
}

/** Returns whether the URL names a database that Redis does not have. */
export function isMissingDatabase(error: unknown): error is Error {
  return startsWith(error, /^ERR (?:DB index is out of range|invalid DB index)/);
}

function startsWith(error: unknown, start: RegExp): boolean {
  return error instanceof Error && start.test(error.message);
}

/** Returns the reason of an error from its message, or from all messages of an aggregate, such as one per address. */
export function reasonOf(error: Error): string {
  if (error.message !== '') return error.message.replace(/\.$/, '');
  const parts: unknown[] = error instanceof AggregateError ? error.errors : [];
  const reasons = parts.map((part) => (part instanceof Error ? part.message : String(part)));
  return reasons.join(', ') || error.name;
}

/** Returns advice on an error; undefined stands for no answer. For unknown errors it is to check the address. */
export function adviceOn(error: Error | undefined, connection: ResolvedConnection): string {
  return knownAdvice(error, connection) ?? checkAddress(connection);
}

/** Returns the message of an error, with advice if it is known. */
export function advised(error: Error, connection: ResolvedConnection): string {
  const reason = reasonOf(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && LOST.has(code)) return reason;
  const isAway = code !== undefined && AWAY.has(code);
  const advice = knownAdvice(error, connection) ?? (isAway ? checkAddress(connection) : undefined);
  return advice === undefined || reason.includes(advice) ? reason : `${reason}. ${advice}`;
}

/** Codes for an unreachable server. */
const AWAY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);
/** Codes that also occur when a reachable store stops. */
const LOST = new Set(['ECONNRESET', 'EPIPE']);

function knownAdvice(error: Error | undefined, connection: ResolvedConnection): string | undefined {
  const { isEncrypted } = connectionFacts(connection);
  const reason = error === undefined ? 'silence' : reasonOf(error);
  return RULES.find(
    ({ says, isEncrypted: required = isEncrypted }) => required === isEncrypted && says.test(reason),
  )?.advice;
}

function checkAddress(connection: ResolvedConnection): string {
  return `Is the store running at ${shownConnection(connection)}, and is the address right? Set it with \`connection\` or UMBEL_URL.`;
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
