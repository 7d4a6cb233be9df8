/** The routes that read queues, workers, schedules, dead letters, signals and tasks. */
import type { App, DeadLetterFilter } from '@umbel/core';
import { Hono } from 'hono';
import {
  checkView,
  jobTarget,
  type RouteDependencies,
  type RouteEnv,
  runTarget,
  visibleItems,
} from '../context.js';
import { UNTIL_CHANGE } from '../shared-reads.js';
import { shown } from '../values.js';

const MAX_LETTERS = 50;
/** Maximum number of running attempts of a worker that one answer has. */
const MAX_ATTEMPTS = 50;

export function operationRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { app, reads } = dependencies;
  const routes = new Hono<RouteEnv>();
  routes.use(async (c, next) => {
    await checkView(dependencies, c, { kind: 'app' });
    await next();
  });

  routes.get('/queues', async (c) =>
    c.json({ queues: await reads.get('queues', () => app.inspect.queues()) }),
  );

  routes.get('/workers', async (c) => {
    const facts = await reads.get('workers', async () => {
      const [workers, stats, active] = await Promise.all([
        app.inspect.workers(),
        app.inspect.stats(),
        app.inspect.active(),
      ]);
      return { workers, stats: stats.answers, active: active.answers };
    });
    const active = await Promise.all(
      Object.entries(facts.active).map(async ([worker, attempts]) => {
        const shown = attempts.slice(0, MAX_ATTEMPTS);
        return [worker, await visibleItems(dependencies, c, shown, jobTarget)] as const;
      }),
    );
    return c.json({ ...facts, active: Object.fromEntries(active) });
  });

  routes.get('/schedules', async (c) =>
    c.json({ schedules: await reads.get('schedules', () => app.schedules.list()) }),
  );

  routes.get('/dead-letters', async (c) => {
    const filter = letterFilter(c.req.query());
    const { items, cursor } = await reads.get(
      JSON.stringify(['dead', filter]),
      () => app.deadLetters.page({ ...filter, limit: MAX_LETTERS }),
      UNTIL_CHANGE,
    );
    const visible = await visibleItems(dependencies, c, items, jobTarget);
    return c.json({
      letters: visible.map(({ input, ...letter }) => ({ ...letter, input: shown(app, letter.task, input) })),
      cursor,
    });
  });

  routes.get('/error-groups', async (c) => {
    await checkView(dependencies, c, { kind: 'dead-letters' }); // it tells errors of jobs of all kinds
    const filter = letterFilter(c.req.query());
    return c.json(
      await reads.get(JSON.stringify(['groups', filter]), () => app.deadLetters.groups(filter), UNTIL_CHANGE),
    );
  });

  routes.get('/signals', async (c) => {
    const { cursor } = c.req.query();
    const page = await reads.get(
      `signals ${cursor}`,
      () => app.signals.waiting(cursor ? { cursor } : {}),
      UNTIL_CHANGE,
    );
    const items = await visibleItems(dependencies, c, page.items, ({ runId }) => runTarget({ id: runId }));
    return c.json({ ...page, items });
  });

  routes.get('/tasks', async (c) => c.json({ tasks: await reads.get('tasks', () => tasksOf(app)) }));

  return routes;
}

function letterFilter(query: Readonly<Record<string, string>>): DeadLetterFilter {
  const { task, error, queue, group, cursor } = query;
  return {
    ...(task && { task }),
    ...(error && { error }),
    ...(queue && { queue }),
    ...(group && { group }),
    ...(cursor && { cursor }),
  };
}

/** Returns the tasks that this process or a worker knows, with the schemas of their inputs and the workers that run them. */
async function tasksOf(app: App) {
  const [{ answers }, workers] = await Promise.all([app.inspect.registered(), app.inspect.workers()]);
  const queuesOf = new Map(workers.map(({ name, queues }) => [name, Object.keys(queues)]));
  const tasks = new Map<string, object>(
    app.describe().tasks.map(({ name, queue }) => [name, { name, queue, workers: [] }]),
  );
  for (const [worker, registered] of Object.entries(answers)) {
    const served = queuesOf.get(worker.replace(/#\d+$/, '')) ?? [];
    for (const task of registered) {
      const { workers: others = [] } = (tasks.get(task.name) ?? {}) as { workers?: readonly string[] };
      // A worker that knows a task, but does not serve its queue, runs none of its jobs.
      const isRun = served.includes(task.queue);
      tasks.set(task.name, { ...task, workers: isRun ? [...others, worker] : others });
    }
  }
  return [...tasks.values()].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

const nameOf = (task: object): string => (task as { name: string }).name;
