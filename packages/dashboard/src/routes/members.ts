/** The route that lists the jobs of a node of a run's graph which represents many. */
import { InvalidOptionError, type ListedJob, type Page } from '@umbel/core';
import { Hono } from 'hono';
import { checkView, jobTarget, type RouteDependencies, type RouteEnv, visibleItems } from '../context.js';
import { UNTIL_CHANGE } from '../shared-reads.js';

export function memberRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { reads } = dependencies;
  const routes = new Hono<RouteEnv>();

  routes.get('/runs/:id/members', async (c) => {
    const { id } = c.req.param();
    await checkView(dependencies, c, { kind: 'run', id });
    const { node = '', task = '', cursor } = c.req.query();
    const page = await reads.get(
      JSON.stringify(['members', id, node, task, cursor]),
      () => membersOf(dependencies, { run: id, node, task, cursor: cursor || undefined }),
      UNTIL_CHANGE,
    );
    return c.json({ ...page, items: await visibleItems(dependencies, c, page.items, jobTarget) });
  });

  return routes;
}

const MAX_LENGTH = 1000;
/** Number of jobs after which an answer ends. */
const PAGE_SIZE = 50;
/** Number of jobs that one read looks at while none belongs to the node. */
const SKIP_SIZE = 250;
const MAX_READS = 10;

/** Returns whether an id is that of a job of a node. The id of a node has `*` instead of each index, with a number if there are several. */
function matcherOf(run: string, node: string): (id: string) => boolean {
  if (node.length > MAX_LENGTH || !node.startsWith(run) || !node.includes('*'))
    throw new InvalidOptionError('node', 'the id of a node of the run for several jobs', node);
  const expected = node.match(/\*\d*|\d+|[^\d*]+/g) ?? [];
  return (id) => {
    const parts = id.match(/\d+|\D+/g) ?? [];
    return (
      parts.length === expected.length && expected.every((part, index) => isSame(part, parts[index] ?? ''))
    );
  };
}

const isSame = (expected: string, part: string) =>
  expected.startsWith('*') ? /^\d+$/.test(part) : part === expected;

/** Reads a run from a cursor on, until there are 50 jobs of a node; fewer if the next few thousand jobs hold no more. */
async function membersOf(
  { app, lateAfter }: RouteDependencies,
  {
    run,
    node,
    task,
    cursor,
  }: { readonly run: string; node: string; task: string; cursor?: string | undefined },
): Promise<Page<ListedJob>> {
  const isMember = matcherOf(run, node);
  const items: ListedJob[] = [];
  let next = cursor;
  let limit = PAGE_SIZE;
  for (let reads = 0; reads < MAX_READS && items.length < PAGE_SIZE; reads += 1) {
    const page = await app.jobs.list({
      run,
      lateAfter,
      ...(task !== '' && { task }),
      ...(next !== undefined && { cursor: next }),
      limit,
    });
    const found = page.items.filter(({ id }) => isMember(id));
    items.push(...found);
    next = page.cursor;
    if (next === undefined) break;
    limit = found.length === 0 ? SKIP_SIZE : PAGE_SIZE;
  }
  return { items, ...(next !== undefined && { cursor: next }) };
}
