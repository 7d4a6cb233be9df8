/** This module defines the options of `dashboard` and checks them. A dashboard without access control starts in development only. */
import { type Duration, InvalidOptionError } from '@umbel/core';
import type { DashboardAction, DashboardTarget } from './actions.js';
import type { AuditEntry } from './audit.js';

/** A user of the dashboard, as `authorize` returns it. */
export interface DashboardUser {
  /** The name in the page and in the audit log. */
  readonly name: string;
}

/** Options of `dashboard`. */
export interface DashboardOptions<User extends DashboardUser = DashboardUser> {
  /** The path at which the handler is mounted, such as `'/dashboard'`. Default `''`: the root. */
  basePath?: string | undefined;
  /**
   * Returns the user of a request, `undefined` to answer with 401, or a response, such as a redirect to a login page. Called
   * for every request.
   */
  authorize?:
    | ((request: Request) => User | Response | undefined | Promise<User | Response | undefined>)
    | undefined;
  /**
   * Returns whether a user may see or change a target. Called on the server for every request, before anything is read or
   * changed. Default: everything is allowed.
   */
  can?:
    | ((user: User, action: DashboardAction, target: DashboardTarget) => boolean | Promise<boolean>)
    | undefined;
  /** Refuses every action that changes something. Default false. */
  readOnly?: boolean | undefined;
  /**
   * A secret that opens the dashboard: as `?token=…` in its first URL, then in a cookie. At least 16 characters. Only without
   * `authorize`.
   */
  token?: string | undefined;
  /** How long a job that could start may wait before the page shows it as late. Default 5 minutes. */
  lateAfter?: Duration | undefined;
  /** Origins that may send actions besides the one of the request URL, such as `'https://ops.example.com'` behind a proxy. */
  origins?: readonly string[] | undefined;
  /**
   * Takes the address that users see from `X-Forwarded-Proto`, `-Host` and `-Prefix`. Only behind a proxy that sets or removes
   * all three: others could choose the address. Default false.
   */
  trustProxy?: boolean | undefined;
  /**
   * The address of a trace in your tracing tool, with `{traceId}` in it, such as `'https://jaeger.example/trace/{traceId}'`. Jobs
   * and runs with a trace link to it.
   */
  traceUrl?: string | undefined;
  /** Receives every action that a user has sent, also the refused and the failed ones. Default: one line on the console. */
  onAction?: ((entry: AuditEntry) => void) | undefined;
}

/** How requests are authenticated. */
export type Authentication<User extends DashboardUser> =
  | { readonly kind: 'authorize'; readonly authorize: NonNullable<DashboardOptions<User>['authorize']> }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'open' };

/** Checked options. */
export interface Settings<User extends DashboardUser> {
  /** Without a slash at its end: `''` or `'/dashboard'`. */
  readonly basePath: string;
  readonly authentication: Authentication<User>;
  readonly can: NonNullable<DashboardOptions<User>['can']>;
  readonly readOnly: boolean;
  readonly lateAfter: Duration;
  readonly origins: readonly string[];
  readonly trustProxy: boolean;
  readonly traceUrl: string | undefined;
  readonly onAction: DashboardOptions<User>['onAction'];
}

const NAMES: Readonly<Record<keyof DashboardOptions, true>> = {
  basePath: true,
  authorize: true,
  can: true,
  readOnly: true,
  token: true,
  lateAfter: true,
  origins: true,
  trustProxy: true,
  traceUrl: true,
  onAction: true,
};
/** The characters of a base path, which also begins with a slash and has no empty part. */
const BASE_PATH = /^[A-Za-z0-9_.~/-]*$/;
const MIN_TOKEN_LENGTH = 16;

/**
 * Checks the options. `environment`: that of the process.
 * @throws {InvalidOptionError} if an option is invalid, or outside of development if nothing controls the access.
 */
export function settingsOf<User extends DashboardUser>(
  options: DashboardOptions<User>,
  environment: Readonly<Record<string, string | undefined>>,
): Settings<User> {
  for (const name of Object.keys(options))
    if (!Object.hasOwn(NAMES, name))
      throw new InvalidOptionError(name, `one of ${Object.keys(NAMES).join(', ')}`, name);
  const {
    basePath = '',
    can = () => true,
    readOnly = false,
    origins = [],
    lateAfter = '5m',
    trustProxy = false,
    traceUrl,
    onAction,
  } = options;
  if (typeof basePath !== 'string' || !isBasePath(basePath))
    throw new InvalidOptionError('basePath', "a path such as '/dashboard'", basePath);
  if (typeof readOnly !== 'boolean') throw new InvalidOptionError('readOnly', 'true or false', readOnly);
  if (typeof trustProxy !== 'boolean')
    throw new InvalidOptionError('trustProxy', 'true or false', trustProxy);
  if (traceUrl !== undefined && !isTraceUrl(traceUrl))
    throw new InvalidOptionError(
      'traceUrl',
      "an address such as 'https://jaeger.example/trace/{traceId}'",
      traceUrl,
    );
  if (typeof can !== 'function') throw new InvalidOptionError('can', 'a function', can);
  if (onAction !== undefined && typeof onAction !== 'function')
    throw new InvalidOptionError('onAction', 'a function', onAction);
  if (!Array.isArray(origins) || !origins.every(isOrigin))
    throw new InvalidOptionError('origins', "a list such as ['https://ops.example.com']", origins);
  return {
    basePath: basePath.replace(/\/$/, ''),
    authentication: authenticationOf(options, environment),
    can,
    readOnly,
    lateAfter, // core checks it
    origins,
    trustProxy,
    traceUrl,
    onAction,
  };
}

/** The id takes no part in the protocol or the host, so the page never links to anything but a web page of that host. */
function isTraceUrl(text: unknown): boolean {
  if (typeof text !== 'string' || !/^https?:\/\/[^/{}?#]+[/?#].*\{traceId\}/.test(text)) return false;
  return URL.canParse(text.replaceAll('{traceId}', '0'));
}

function isOrigin(text: unknown): boolean {
  return typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text;
}

function authenticationOf<User extends DashboardUser>(
  { authorize, token }: DashboardOptions<User>,
  environment: Readonly<Record<string, string | undefined>>,
): Authentication<User> {
  const { UMBEL_DASHBOARD_USER: user, UMBEL_DASHBOARD_PASSWORD: password, NODE_ENV } = environment;
  if (authorize !== undefined) {
    if (typeof authorize !== 'function') throw new InvalidOptionError('authorize', 'a function', authorize);
    if (token !== undefined)
      throw new InvalidOptionError('token', 'undefined, because `authorize` is set', '(hidden)');
    return { kind: 'authorize', authorize };
  }
  if (token !== undefined) {
    if (typeof token !== 'string' || token.length < MIN_TOKEN_LENGTH || !/^[\w-]+$/.test(token))
      throw new InvalidOptionError(
        'token',
        `${MIN_TOKEN_LENGTH} letters, digits, - and _ or more`,
        '(hidden)',
      );
    return { kind: 'token', token };
  }
  if (user && password) return { kind: 'basic', user, password };
  if (NODE_ENV === 'development' || NODE_ENV === 'test') return { kind: 'open' };
  throw new InvalidOptionError(
    'authorize',
    'a function; or `token`; or the environment variables UMBEL_DASHBOARD_USER and UMBEL_DASHBOARD_PASSWORD. ' +
      'Without them a dashboard starts only with NODE_ENV=development',
    authorize,
  );
}

export function isBasePath(path: string): boolean {
  return path === '' || (path.startsWith('/') && !path.includes('//') && BASE_PATH.test(path));
}
