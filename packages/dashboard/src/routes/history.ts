/** The routes that read the history of attempts. */
import { type HistoryRange, InvalidOptionError } from '@umbel/core';
import { Hono } from 'hono';
import { checkView, type RouteDependencies, type RouteEnv } from '../context.js';

/** The ranges of the page, in milliseconds. Without one: the last three hours, by minutes. */
const RANGES: Readonly<Record<string, number>> = { '24h': 86_400_000, '7d': 604_800_000 };
/** Workers write every ten seconds. */
const KEPT_MS = 5000;

export function historyRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { app, reads } = dependencies;
  const routes = new Hono<RouteEnv>();

  routes.get('/history', async (c) => {
    const { task = '', range = '' } = c.req.query();
    await checkView(dependencies, c, task === '' ? { kind: 'app' } : { kind: 'task', id: task });
    const read = () => app.history.read({ ...rangeOf(range), ...(task !== '' && { task }) });
    return c.json(await reads.get(JSON.stringify(['history', task, range]), read, { keptMs: KEPT_MS }));
  });

  routes.get('/history/tasks', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    const { range = '' } = c.req.query();
    const tasks = await reads.get(`history tasks ${range}`, () => app.history.tasks(rangeOf(range)), {
      keptMs: KEPT_MS,
    });
    return c.json({ tasks });
  });

  return routes;
}

/** @throws {InvalidOptionError} if the page has no such range. */
function rangeOf(range: string): HistoryRange {
  if (range === '') return {};
  const ms = Object.hasOwn(RANGES, range) ? RANGES[range] : undefined;
  if (ms === undefined) throw new InvalidOptionError('range', Object.keys(RANGES).join(', '), range);
  return { since: new Date(Date.now() - ms) };
}
