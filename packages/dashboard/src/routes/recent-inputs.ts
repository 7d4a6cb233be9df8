/** The route that reads the inputs of the latest jobs of a task, which fill the form that runs it. */
import type { App } from '@umbel/core';
import { Hono } from 'hono';
import { checkView, jobTarget, type RouteDependencies, type RouteEnv, visibleItems } from '../context.js';
import { type ShownValue, shown } from '../values.js';

const MAX_INPUTS = 5;

export function recentInputRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { app, reads } = dependencies;
  const routes = new Hono<RouteEnv>();

  routes.get('/tasks/:name/inputs', async (c) => {
    const { name } = c.req.param();
    await checkView(dependencies, c, { kind: 'task', id: name });
    const jobs = await reads.get(JSON.stringify(['inputs', name]), () => recentInputs(app, name));
    const visible = await visibleItems(dependencies, c, jobs, jobTarget);
    // A masked or cut input cannot be sent again.
    const inputs = visible.flatMap(({ input }) =>
      input?.isMasked === false && !input.isCut ? input.json : [],
    );
    return c.json({ inputs: [...new Set(inputs)] });
  });

  return routes;
}

interface RecentInput {
  readonly id: string;
  readonly input: ShownValue | undefined;
}

/** Reads the first jobs of the list. They may be gone before their inputs are read. */
async function recentInputs(app: App, task: string): Promise<readonly RecentInput[]> {
  const { items } = await app.jobs.list({ task, limit: MAX_INPUTS });
  const jobs = await Promise.all(items.map(({ id }) => app.jobs.get(id)));
  return jobs
    .filter((job) => job !== undefined)
    .map((job) => ({ id: job.id, input: shown(app, task, job.input) }));
}
