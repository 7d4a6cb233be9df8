/** The route that lists the jobs of a node of a run's graph which represents many. */
import { InvalidOptionError, type ListedJob } from '@umbel/core';
import { Hono } from 'hono';
import { checkView, jobTarget, type RouteDependencies, type RouteEnv, visibleItems } from '../context.js';
import { findPage, type Search } from '../search.js';

export function memberRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { app, reads } = dependencies;
  const routes = new Hono<RouteEnv>();

  routes.get('/runs/:id/members', async (c) => {
    const { id } = c.req.param();
    await checkView(dependencies, c, { kind: 'run', id });
    const { node = '', task = '', cursor } = c.req.query();
    const search = membersOf(id, node, task);
    const page = await reads.get(JSON.stringify(['members', id, node, task, cursor]), () =>
      findPage<ListedJob>(search, cursor || undefined, (part) =>
        app.jobs.list({ ...search.filter, ...part }),
      ),
    );
    return c.json({ ...page, items: await visibleItems(dependencies, c, page.items, jobTarget) });
  });

  return routes;
}

const MAX_LENGTH = 1000;

/** Returns the search for the jobs of a node. Its id has `*` instead of each index, with a number if there are several. */
function membersOf(run: string, node: string, task: string): Search {
  if (node.length > MAX_LENGTH || !node.startsWith(run) || !node.includes('*'))
    throw new InvalidOptionError('node', 'the id of a node of the run for several jobs', node);
  const wanted = node.match(/\*\d*|\d+|[^\d*]+/g) ?? [];
  return {
    filter: { run, ...(task !== '' && { task }) },
    isCompared: true,
    matches: ({ id }) => {
      const parts = id.match(/\d+|\D+/g) ?? [];
      return (
        parts.length === wanted.length && wanted.every((part, index) => isSame(part, parts[index] ?? ''))
      );
    },
  };
}

const isSame = (wanted: string, part: string) =>
  wanted.startsWith('*') ? /^\d+$/.test(part) : part === wanted;
