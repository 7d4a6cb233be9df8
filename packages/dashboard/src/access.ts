/** This module decides who sends a request, and whether it comes from the dashboard's own page. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Authentication, DashboardUser, Settings } from './options.js';
import { type PublicAddress, pathBelow, publicAddress } from './public-address.js';

/** The user of a request, or the response that refuses it. */
export type Access<User> = { readonly user: User } | { readonly response: Response };

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Authenticates a request. */
export async function accessOf<User extends DashboardUser>(
  request: Request,
  settings: Settings<User>,
): Promise<Access<User>> {
  const { authentication } = settings;
  switch (authentication.kind) {
    case 'authorize': {
      const found = await authentication.authorize(request);
      if (found instanceof Response) return { response: found };
      return found === undefined ? refused(401, 'You are not signed in.') : { user: found };
    }
    case 'token':
      return tokenAccess(request, authentication.token, settings);
    case 'basic':
      return basicAccess(request, authentication);
    case 'open': {
      // A page of another site can point its own name at this machine; it cannot name it localhost.
      // Behind a proxy on this machine the request is for localhost, whoever sends it.
      const addresses = [request.url, publicAddress(request, settings).origin];
      const isLocal = addresses.every((address) => LOOPBACK.test(new URL(address).hostname));
      const why = 'Without `authorize` the dashboard answers on localhost only.';
      return isLocal ? asUser('developer') : refused(403, why);
    }
  }
}

/** The users of the built-in ways to sign in have a name only. */
function asUser<User extends DashboardUser>(name: string): Access<User> {
  return { user: { name } as User };
}

export function refused(status: number, message: string, headers: Record<string, string> = {}) {
  const body = { error: { name: 'AccessError', message } };
  return { response: Response.json(body, { status, headers }) };
}

// Token

function tokenAccess<User extends DashboardUser>(
  request: Request,
  token: string,
  settings: Settings<User>,
): Access<User> {
  const cookie = `umbel-dashboard-${createHash('sha256').update(token).digest('hex').slice(0, 8)}`;
  const url = new URL(request.url);
  const typed = url.searchParams.get('token');
  if (typed !== null && request.method === 'GET' && isSame(typed, token)) {
    url.searchParams.delete('token'); // out of the address bar and the history
    const { basePath, origin } = publicAddress(request, settings);
    const secure = origin.startsWith('https:') ? '; Secure' : '';
    const attributes = `Path=${basePath || '/'}; HttpOnly; SameSite=Strict${secure}`;
    const path = pathBelow(url.pathname, settings.basePath).replace(/^\/+/, '/'); // `//` would begin a host
    const headers = {
      location: `${basePath}${path}${url.search}`,
      'set-cookie': `${cookie}=${token}; ${attributes}`,
    };
    return { response: new Response(null, { status: 302, headers }) };
  }
  const bearer = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1];
  const sent = bearer ?? cookieOf(request, cookie);
  if (sent !== undefined && isSame(sent, token)) return asUser('operator');
  return refused(401, 'The token is missing or wrong. Open the URL that contains it.');
}

function cookieOf(request: Request, name: string): string | undefined {
  for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
    const [key = '', value] = pair.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}

// Basic authentication

function basicAccess<User extends DashboardUser>(
  request: Request,
  { user, password }: Extract<Authentication<User>, { kind: 'basic' }>,
): Access<User> {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/.exec(request.headers.get('authorization') ?? '')?.[1] ?? '';
  const text = Buffer.from(encoded, 'base64').toString();
  if (isSame(text, `${user}:${password}`)) return asUser(user);
  const challenge = { 'www-authenticate': 'Basic realm="umbel dashboard", charset="UTF-8"' };
  return refused(401, 'User or password is missing or wrong.', challenge);
}

/** Compares two secrets in a time that does not depend on how much of them is equal. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

// Requests of other sites

/**
 * Returns why a request is refused that another site may have made in the user's browser; undefined if none did.
 * `origins`: further ones that may send actions.
 */
export function foreignReason(
  request: Request,
  { origin: own }: PublicAddress,
  origins: readonly string[],
): string | undefined {
  const site = request.headers.get('sec-fetch-site');
  const origin = request.headers.get('origin');
  const isAction = request.method !== 'GET' && request.method !== 'HEAD';
  if (isAction && !/^application\/json(?:;|$)/.test(request.headers.get('content-type') ?? ''))
    return 'An action needs a JSON body.';
  if (origin !== null && origins.includes(origin)) return undefined;
  // Browsers compute it from the address that the user sees, so it is right behind a proxy too.
  if (site !== null) {
    const isOwn = site === 'same-origin' || (!isAction && site === 'none');
    return isOwn ? undefined : 'The request comes from another site.';
  }
  return origin === null || origin === own ? undefined : 'The request comes from another origin.';
}
