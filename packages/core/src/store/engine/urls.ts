/** This module reads the URLs of stores, without showing their credentials. */
import { InvalidOptionError } from '../../base/errors.js';

/** Returns the error for a URL in an option, without its credentials. */
export function refusedUrl(option: string, url: string, expected: string): InvalidOptionError {
  return new InvalidOptionError(option, expected, withoutPassword(url));
}

/** @throws {InvalidOptionError} for a URL that cannot be read. */
export function checkReadable(option: string, url: string): void {
  const expected =
    'a valid URL: encode special characters in the user and the password with encodeURIComponent';
  if (!URL.canParse(url)) throw refusedUrl(option, url, expected);
  const { username, password } = new URL(url);
  try {
    decodeURIComponent(`${username}:${password}`);
  } catch {
    throw refusedUrl(option, url, expected);
  }
}

/** Returns the URL without credentials, because messages end up in logs. */
function withoutPassword(url: string): string {
  return url.replace(/^(.*?:\/\/)?.*@/s, '$1***@');
}

/** Returns a URL for display, without user and password. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return withoutPassword(text);
  const url = new URL(text);
  const user = url.username || url.password ? '***@' : '';
  return `${url.protocol}//${user}${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}
