/** `@umbel/dashboard`: the web page of an app, as one handler of web-standard requests. */
import { type App, isUmbelError } from '@umbel/core';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { accessOf, foreignReason, refused } from './access.js';
import { ACTIONS, actionOf, type DashboardAction, type DashboardTarget, isRecord } from './actions.js';
import { type AuditEntry, auditLog } from './audit.js';
import { BulkOperations } from './bulk.js';
import { Changes } from './changes.js';
import { checkView, ForbiddenError, type RouteDependencies, type RouteEnv } from './context.js';
import { type DashboardOptions, type DashboardUser, settingsOf } from './options.js';
import { assetOf, pageOf } from './page.js';
import { pathBelow, publicAddress } from './public-address.js';
import { historyRoutes } from './routes/history.js';
import { jobRoutes } from './routes/jobs.js';
import { memberRoutes } from './routes/members.js';
import { operationRoutes } from './routes/operations.js';
import { recentInputRoutes } from './routes/recent-inputs.js';
import { SharedReads } from './shared-reads.js';

export type { AuditEntry, DashboardAction, DashboardOptions, DashboardTarget, DashboardUser };

/**
 * The dashboard of an app.
 * @example
 * const served: Dashboard = dashboard(app, { token: process.env.DASHBOARD_TOKEN });
 * const response = await served.fetch(new Request('http://localhost/'));
 * served.close();
 */
export interface Dashboard {
  /** Answers a request. It never rejects. */
  fetch(request: Request): Promise<Response>;
  /** Ends the connections of open pages. The app stays open. */
  close(): void;
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'self'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** HTTP states of Umbel's errors. All others are 500. */
const STATUS: Readonly<Record<string, 400 | 404 | 409 | 422 | 503>> = {
  INVALID_OPTION: 400,
  UNKNOWN_QUEUE: 404,
  UNKNOWN_JOB: 404,
  UNKNOWN_SCHEDULE: 404,
  UNKNOWN_SIGNAL: 404,
  JOB_STATE: 409,
  VALIDATION: 422,
  CONNECTION: 503,
  CLOSED: 503,
};

/** Interval of the comments that keep a connection open through proxies. */
const KEEP_ALIVE_MS = 20_000;

/**
 * Returns the dashboard of an app: its page and what the page reads, as one handler of web-standard requests.
 *
 * Without `authorize`, `token`, or the environment variables `UMBEL_DASHBOARD_USER` and `UMBEL_DASHBOARD_PASSWORD`, it
 * starts with `NODE_ENV=development` or `test` only, and answers requests to localhost only.
 * @throws {InvalidOptionError} if an option is invalid, or nothing controls the access outside of development.
 * @example
 * const { fetch } = dashboard(app, { basePath: '/dashboard', authorize: (request) => userOf(request) });
 * routes.all('/dashboard/*', (c) => fetch(c.req.raw)); // in Hono
 */
export function dashboard<User extends DashboardUser = DashboardUser>(
  app: App,
  options: DashboardOptions<User> = {},
): Dashboard {
  const settings = settingsOf(options, process.env);
  const { basePath, readOnly, can, origins, lateAfter } = settings;
  const changes = new Changes(app);
  const reads = new SharedReads(() => changes.revision);
  const record = auditLog(settings.onAction);
  const isAllowed: RouteDependencies['isAllowed'] = async (c, action, target) =>
    !(readOnly && action !== 'view') && (await can(c.get('user') as User, action, target)) === true;
  const bulk = new BulkOperations({
    app,
    lateAfter,
    onProgress: () => {
      reads.clear();
      changes.announce();
    },
    onEnd: ({ user, action, q, state, error, changed, skipped }) =>
      record({
        ...{ user, action, target: { kind: 'jobs', id: q } },
        outcome: state === 'failed' ? 'failed' : 'done',
        ...(error !== undefined && { error }),
        jobs: { changed, skipped, isAborted: state === 'aborted' },
      }),
  });
  const dependencies: RouteDependencies = { app, bulk, changes, reads, readOnly, lateAfter, isAllowed };

  /** Ends the connections of open pages. */
  const endings = new Set<() => void>();

  // The base path may be gone already: Express and `hono.mount` remove it.
  const routes = new Hono<RouteEnv>({
    getPath: (request) => pathBelow(new URL(request.url).pathname, basePath),
  });
  routes.use(async (c, next) => {
    const access = await accessOf(c.req.raw, settings);
    if ('response' in access) return access.response;
    c.set('user', access.user);
    await next();
    return undefined;
  });
  routes.use('/api/*', async (c, next) => {
    const reason = foreignReason(c.req.raw, publicAddress(c.req.raw, settings), origins);
    if (reason !== undefined) return refused(403, reason).response;
    c.header('cache-control', 'no-store');
    await next();
    return undefined;
  });

  routes.get('/api/app', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    const { name, store, tasks, queues } = app.describe();
    const allowed = await Promise.all(
      Object.keys(ACTIONS).map(async (action) => {
        const known = action as keyof typeof ACTIONS; // a key of it
        return (await isAllowed(c, known, { kind: ACTIONS[known].target({ id: '*' }).kind })) ? action : '';
      }),
    );
    return c.json({
      name,
      store,
      queues,
      tasks: tasks.map((task) => task.name),
      user: c.get('user').name,
      readOnly,
      traceUrl: settings.traceUrl,
      actions: allowed.filter((action) => action !== ''),
    });
  });
  routes.route('/api', historyRoutes(dependencies));
  routes.route('/api', jobRoutes(dependencies));
  routes.route('/api', memberRoutes(dependencies));
  routes.route('/api', recentInputRoutes(dependencies));

  routes.get('/api/changes', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    c.header('x-accel-buffering', 'no'); // a proxy must not hold messages back
    return streamSSE(c, async (stream) => {
      const unsubscribe = changes.subscribe((change) => {
        void stream.writeSSE({ data: JSON.stringify(change) });
      });
      const keepAlive = setInterval(() => void stream.write(': open\n\n'), KEEP_ALIVE_MS);
      keepAlive.unref();
      await stream.write(': open\n\n');
      let end = (): void => {};
      await new Promise<void>((resolve) => {
        end = resolve;
        endings.add(end);
        stream.onAbort(resolve);
      });
      endings.delete(end);
      clearInterval(keepAlive);
      unsubscribe();
    });
  });

  routes.post('/api/actions/:name', async (c) => {
    const found = actionOf(c.req.param('name'));
    if (found === undefined) return c.notFound();
    const body: unknown = await c.req.json().catch(() => undefined);
    if (!isRecord(body))
      return c.json({ error: { name: 'BodyError', message: 'The body is no JSON object.' } }, 400);
    const { name, action } = found;
    const target: DashboardTarget = action.target(body);
    const entry = { user: c.get('user').name, action: name, target };
    if (!(await isAllowed(c, name, target))) {
      record({ ...entry, outcome: 'refused' });
      throw new ForbiddenError(readOnly ? 'The dashboard is read-only.' : 'You may not do that.');
    }
    try {
      const user = {
        name: entry.user,
        isAllowed: (each: DashboardAction, of: DashboardTarget) => isAllowed(c, each, of),
      };
      const answer = await action.run(app, body, { bulk, user });
      record({ ...entry, outcome: 'done' });
      return c.json(answer);
    } catch (error) {
      record({ ...entry, outcome: 'failed', error: error instanceof Error ? error.message : String(error) });
      throw error;
    } finally {
      reads.clear();
    }
  });

  routes.route('/api', operationRoutes(dependencies));
  routes.all('/api/*', (c) => c.notFound());
  routes.get('/assets/:name', async (c) => (await assetOf(c.req.param('name'))) ?? c.notFound());
  routes.get('*', (c) => pageOf(publicAddress(c.req.raw, settings).basePath));

  routes.notFound((c) =>
    c.json({ error: { name: 'NotFoundError', message: 'There is no such thing.' } }, 404),
  );
  routes.onError((error, c) => {
    const { name, message } = error;
    if (error instanceof ForbiddenError) return c.json({ error: { name, message } }, 403);
    if (!isUmbelError(error))
      return c.json({ error: { name: 'Error', message: 'The dashboard failed.' } }, 500);
    const issues = 'issues' in error ? { issues: error.issues } : {};
    return c.json({ error: { name, code: error.code, message, ...issues } }, STATUS[error.code] ?? 500);
  });

  return {
    async fetch(request) {
      const response = await routes.fetch(request);
      const headers = new Headers(response.headers);
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) headers.set(name, value);
      return new Response(response.body, { status: response.status, headers });
    },
    close() {
      for (const end of endings) end();
      bulk.close();
      changes.close();
    },
  };
}
