/** The routes that read jobs, workflow runs, and operations on all jobs of a search. */
import {
  type App,
  type AsyncResult,
  InvalidOptionError,
  isFinal,
  type ListedJob,
  type ListedRun,
  type RunGraphJson,
} from '@umbel/core';
import { Hono } from 'hono';
import { bulkActionsOn, isBulkAction } from '../bulk.js';
import {
  checkView,
  jobTarget,
  type RouteContext,
  type RouteDependencies,
  type RouteEnv,
  runTarget,
  visibleItems,
} from '../context.js';
import { type FoundPage, findPage, parseSearch } from '../search.js';
import { UNTIL_CHANGE } from '../shared-reads.js';
import { type ShownValue, shown, shownLines } from '../values.js';

/** Counts by condition read up to 3,000 jobs, so pages share them for longer. */
const CONDITIONS_KEPT_MS = 10_000;

export function jobRoutes(dependencies: RouteDependencies): Hono<RouteEnv> {
  const { app, bulk, reads } = dependencies;
  const routes = new Hono<RouteEnv>();

  routes.get('/counts', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    return c.json(await reads.get('counts', () => app.jobs.counts(), UNTIL_CHANGE));
  });

  routes.get('/conditions', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    const { lateAfter } = dependencies;
    return c.json(
      await reads.get('conditions', () => app.jobs.conditions({ lateAfter }), {
        ...UNTIL_CHANGE,
        keptMs: CONDITIONS_KEPT_MS,
      }),
    );
  });

  routes.get('/operations', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    return c.json({ operations: bulk.all });
  });

  routes.get('/operations/preview', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    const { action = '', q = '' } = c.req.query();
    if (!isBulkAction(action)) throw new InvalidOptionError('action', 'a bulk action', action);
    return c.json(await reads.get(JSON.stringify(['preview', action, q]), () => bulk.preview(action, q)));
  });

  routes.get('/list/:kind{jobs|runs}', async (c) => {
    await checkView(dependencies, c, { kind: 'app' });
    const { kind } = c.req.param();
    const { q = '', cursor } = c.req.query();
    const page = await reads.get<FoundPage<ListedJob | ListedRun>>(
      JSON.stringify(['list', kind, q, cursor]),
      () => listOf(dependencies, kind, q, cursor || undefined),
      UNTIL_CHANGE,
    );
    const targetOf = kind === 'jobs' ? jobTarget : runTarget;
    const items = await visibleItems<ListedJob | ListedRun>(dependencies, c, page.items, targetOf);
    if (kind === 'runs') return c.json({ ...page, items });
    return c.json({ ...page, items, actions: bulkActionsOn(searchIn(app, q)) });
  });

  routes.get('/jobs/:id', async (c) => {
    const { id } = c.req.param();
    await checkView(dependencies, c, { kind: 'job', id });
    const facts = await reads.get(`job ${id}`, () => jobFacts(app, id));
    return facts === undefined ? c.notFound() : c.json(facts);
  });

  routes.get('/runs/:id', async (c) => {
    const { id } = c.req.param();
    await checkView(dependencies, c, { kind: 'run', id });
    const facts = await reads.get(`run ${id}`, () => runFacts(app, id), UNTIL_CHANGE);
    if (facts === undefined) return c.notFound();
    return c.json({ ...facts, graph: await withVisibleErrors(dependencies, c, facts.graph) });
  });

  routes.get('/runs/:id/graph/:format{mmd|dot|json}', async (c) => {
    const { id, format } = c.req.param();
    await checkView(dependencies, c, { kind: 'run', id });
    const graph = await app.result(id).graph();
    if (format === 'json') return c.json(await withVisibleErrors(dependencies, c, graph.toJSON()));
    return c.text(format === 'mmd' ? graph.toMermaid() : graph.toDot());
  });

  return routes;
}

const searchIn = (app: App, text: string) =>
  parseSearch(text, { now: new Date(), isIndexed: app.describe().searchIndex });

function listOf(
  { app, lateAfter }: Pick<RouteDependencies, 'app' | 'lateAfter'>,
  kind: string,
  text: string,
  cursor: string | undefined,
) {
  const search = searchIn(app, text);
  const { error, queue, run, condition, ...ofRuns } = search.filter;
  if (kind === 'jobs')
    return findPage<ListedJob>(search, cursor, (page) =>
      app.jobs.list({ ...search.filter, lateAfter, ...page }),
    );
  // The tasks of a run are known to core only.
  if (search.comparedKeys.has('task'))
    throw new InvalidOptionError('q', 'for runs, one task such as task:mail.send or task:mail.*', text);
  // A run has no error of its own, no queue, no run and no condition.
  const isNone = [error, queue, run, condition].some((value) => value !== undefined);
  if (isNone) return Promise.resolve({ items: [], read: 0 });
  return findPage<ListedRun>(search, cursor, (page) => app.runs.list({ ...ofRuns, ...page }));
}

/** Removes the errors of steps that the user may not see. */
async function withVisibleErrors(
  dependencies: RouteDependencies,
  c: RouteContext,
  graph: RunGraphJson,
): Promise<RunGraphJson> {
  const failed = graph.nodes.filter(({ error }) => error !== undefined);
  const visible = new Set(await visibleItems(dependencies, c, failed, jobTarget));
  const hidden = new Set(failed.filter((node) => !visible.has(node)));
  if (hidden.size === 0) return graph;
  const nodes = graph.nodes.map((node) => {
    const { error: _error, ...others } = node;
    return hidden.has(node) ? others : node;
  });
  return { ...graph, nodes };
}

async function jobFacts(app: App, id: string) {
  const job = await app.jobs.get(id);
  if (job === undefined) return undefined;
  const { input, progress, ...facts } = job;
  const [waitReason, logs, output] = await Promise.all([
    isFinal(job.state) ? undefined : app.jobs.waitReason(id),
    app.result(id).logs(),
    job.state === 'completed' ? outputOf(app, job.task, app.result(id)) : undefined,
  ]);
  return {
    ...facts,
    input: shown(app, job.task, input),
    progress: shown(app, job.task, progress),
    output,
    waitReason,
    logs: shownLines(logs),
  };
}

async function runFacts(app: App, id: string) {
  const found = await app.runs.get(id, { graph: true });
  if (found?.graph === undefined) return undefined;
  const { graph, ...run } = found;
  const [waitReason, output] = await Promise.all([
    isFinal(run.state) ? undefined : app.jobs.waitReason(id),
    run.state === 'completed' ? outputOf(app, '', app.result(id)) : undefined,
  ]);
  return { ...run, graph: graph.toJSON(), waitReason, output };
}

/** Returns the result of a completed job. Its record may be gone since it was listed. */
async function outputOf(
  app: App,
  task: string,
  result: AsyncResult<unknown>,
): Promise<ShownValue | undefined> {
  const outcome = await result.outcome({ timeout: '5s' }).catch(() => undefined);
  return outcome?.ok ? shown(app, task, outcome.value) : undefined;
}
