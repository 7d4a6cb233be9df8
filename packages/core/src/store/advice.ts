/** What to do about an error of the store: said with it, to whoever reads it at night. */
import { connectionFacts, type ResolvedConnection, shownConnection } from './connection.js';

/** Redis wants a password, or another one. */
export function isRefusedUser(error: unknown): error is Error {
  return startsWith(error, /^(?:NOAUTH|WRONGPASS|ERR invalid password|ERR AUTH )/);
}

/** The user may not do what was asked. */
export function isRefusedRight(error: unknown): error is Error {
  return startsWith(error, /^NOPERM/);
}

/** The URL names a database that Redis does not have. */
export function isMissingDatabase(error: unknown): error is Error {
  return startsWith(error, /^ERR (?:DB index is out of range|invalid DB index)/);
}

function startsWith(error: unknown, start: RegExp): boolean {
  return error instanceof Error && start.test(error.message);
}

/** Why, in the words of the error; of several at once, such as one for each address of a host, those of all. */
export function reasonOf(error: Error): string {
  if (error.message !== '') return error.message.replace(/\.$/, '');
  const parts: unknown[] = error instanceof AggregateError ? error.errors : [];
  const reasons = parts.map((part) => (part instanceof Error ? part.message : String(part)));
  return reasons.join(', ') || error.name;
}

/** What is to be done about an error, or about none when there was no answer at all; of any other, where to look. */
export function adviceOn(error: Error | undefined, connection: ResolvedConnection): string {
  return knownAdvice(error, connection) ?? whereToLook(connection);
}

/** The message of an error, with what is to be done if that is known. */
export function advised(error: Error, connection: ResolvedConnection): string {
  const reason = reasonOf(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && LOST.has(code)) return reason;
  const isAway = code !== undefined && AWAY.has(code);
  const advice = knownAdvice(error, connection) ?? (isAway ? whereToLook(connection) : undefined);
  return advice === undefined || reason.includes(advice) ? reason : `${reason}. ${advice}`;
}

/** Nobody is there. */
const AWAY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);
/** As it is also when a store that was there goes away. */
const LOST = new Set(['ECONNRESET', 'EPIPE']);

function knownAdvice(error: Error | undefined, connection: ResolvedConnection): string | undefined {
  const { isEncrypted } = connectionFacts(connection);
  const said = error === undefined ? 'silence' : reasonOf(error);
  return RULES.find(({ says, isEncrypted: own = isEncrypted }) => own === isEncrypted && says.test(said))
    ?.advice;
}

function whereToLook(connection: ResolvedConnection): string {
  return `Is the store running at ${shownConnection(connection)}, and is that its address? \`connection\` or UMBEL_URL sets it.`;
}

/** The first that fits. `isEncrypted`: whether that is so of our side; absent if it does not matter. */
const RULES: readonly { says: RegExp; isEncrypted?: boolean; advice: string }[] = [
  {
    says: /^NOAUTH/,
    advice:
      'The store wants a password: write redis://:password@host or redis://user:password@host as `connection` or UMBEL_URL.',
  },
  {
    says: /^(?:WRONGPASS|ERR invalid password|ERR AUTH )/,
    advice:
      'The store does not know this user and password: correct them in `connection` or UMBEL_URL, where special characters are written as encodeURIComponent gives them.',
  },
  {
    says: /^NOPERM/,
    advice:
      'The user of the URL lacks this right: docs/security.md has the rule (ACL) with all that Umbel needs.',
  },
  {
    says: /^ERR (?:DB index is out of range|invalid DB index)/,
    advice:
      'The store has no database of that number: correct the end of the URL, or `databases` in redis.conf.',
  },
  {
    says: /Unknown RESP type|Protocol error/,
    advice: 'What answers there is no Redis: correct the host and the port of `connection` or UMBEL_URL.',
  },
  {
    says: /certificate|CERT_/,
    isEncrypted: true,
    advice:
      'The certificate of the store is not one that Node trusts: name the authority that signed it in NODE_EXTRA_CA_CERTS, or in `connection: { host, port, tls: { ca } }`.',
  },
  {
    says: /^silence$|wrong version number|packet length too long/,
    isEncrypted: true,
    advice: 'Does the store speak TLS? If not, the URL begins with redis://.',
  },
  {
    says: /ECONNRESET|EPIPE/,
    isEncrypted: false,
    advice:
      'If the store ends every connection at once, it may want TLS: then the URL begins with rediss://.',
  },
];
