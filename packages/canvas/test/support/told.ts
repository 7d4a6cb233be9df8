/** What the handle of a run tells of its jobs, while it goes on and in the end, compared with the stored jobs. */
import type { App, AsyncResult, CollectedTask, GraphNode, MemberOutcome, RunCounts } from '@umbel/core';
import { expect } from 'vitest';

const soon = { timeout: 8000 } as const;

/** What was told while a run went on. */
export interface Followed {
  readonly members: readonly MemberOutcome<unknown>[];
  readonly tasks: readonly CollectedTask[];
  readonly counts: readonly RunCounts[];
}

/** Follows a run from its start to its end. */
export async function follow(sent: AsyncResult<unknown>): Promise<Followed> {
  const [members, tasks, counts] = await Promise.all([
    listed(sent.members(soon)),
    listed(sent.collect(soon)),
    listed(sent.progress(soon) as AsyncIterable<RunCounts>), // a single call reports none here,
  ]);
  return { members, tasks, counts };
}

export interface Told {
  readonly app: App;
  readonly sent: AsyncResult<unknown>;
  /** The stored jobs of the user's tasks. */
  readonly jobs: readonly string[];
  readonly followed: Followed;
  /** False where a result may be there before all members have ended. */
  readonly needsAll: boolean;
  /** False where the graph leaves jobs out: the earlier turns of loops. */
  readonly showsAll: boolean;
}

/** Compares the graph, the counts, the tasks and the members with the stored jobs. */
export async function checkTold({ app, sent, jobs, followed, needsAll, showsAll }: Told): Promise<void> {
  const graph = await sent.graph();
  const all = new Set(graph.nodes.map(({ id }) => id));
  expect(all.size, 'nodes with different ids').toBe(graph.nodes.length);
  // The nodes of waits stand for internal jobs.
  const nodes = graph.nodes.filter(({ kind }) => kind === undefined);
  const ids = new Set(nodes.map(({ id }) => id));
  const isFolded = !showsAll || graph.nodes.some(({ count }) => count !== undefined);
  const stored = new Set(jobs);
  if (!isFolded)
    expect(
      [...stored].filter((id) => !ids.has(id)),
      'jobs that no node stands for',
    ).toEqual([]);
  for (const node of nodes) await checkNode(app, node, stored);
  for (const { from, to } of graph.edges) expect(all.has(from) && all.has(to), `${from} → ${to}`).toBe(true);
  const counts = await sent.counts();
  expect(counts.done, 'tasks that have ended').toBe(counts.total);
  const { ok } = await sent.outcome();
  const last = followed.counts.at(-1);
  if (ok && needsAll && last !== undefined) expect(last, 'the last counts').toEqual(counts);
  const known = isFolded ? stored : ids;
  const tasks = await listed(sent.collect(soon));
  await checkTasks(app, tasks, known);
  await checkTasks(app, followed.tasks, known);
  if (ok && needsAll) expect(idsOf(followed.tasks)).toEqual(idsOf(tasks));
  await checkMembers(sent, followed.members, needsAll);
  await checkMembers(sent, await listed(sent.members(soon)), needsAll);
}

async function checkNode(
  app: App,
  { id, state, count }: GraphNode,
  stored: ReadonlySet<string>,
): Promise<void> {
  if (count !== undefined) return;
  if (stored.has(id)) expect(state, `state of ${id}`).toBe(await app.result(id).state());
  else expect(state, `state of ${id}, which was not added`).toBe('skipped');
}

async function checkTasks(
  app: App,
  tasks: readonly CollectedTask[],
  known: ReadonlySet<string>,
): Promise<void> {
  expect(new Set(idsOf(tasks)).size, 'tasks that came once').toBe(tasks.length);
  expect(
    idsOf(tasks).filter((id) => !known.has(id)),
    'tasks without a node',
  ).toEqual([]);
  for (const task of tasks) {
    const outcome = await app.result(task.id).outcome();
    expect(task.ok, `outcome of ${task.id}`).toBe(outcome.ok);
    if (task.ok && outcome.ok) expect(JSON.stringify(task.value)).toBe(JSON.stringify(outcome.value));
  }
}

/** A group that needs only some members gives their results, but tells of all that have ended. */
async function checkMembers(
  sent: AsyncResult<unknown>,
  told: readonly MemberOutcome<unknown>[],
  needsAll: boolean,
): Promise<void> {
  const members: unknown[] = [];
  for (const member of told) {
    expect(member.index in members, `member ${member.index} came twice`).toBe(false);
    members[member.index] = member.ok ? member.value : null;
  }
  const outcome = await sent.outcome();
  if (!outcome.ok || !needsAll) return;
  const { value } = outcome;
  const whole = typeof value === 'object' && value !== null ? Object.values(value) : [value];
  expect(JSON.stringify(members)).toBe(JSON.stringify(whole));
  const page = await sent.page({ limit: 1000 });
  expect(page.length, 'members in a page').toBeLessThanOrEqual(whole.length);
  for (const entry of page) if ('ok' in entry && entry.ok) expect(entry.value).toEqual(whole[entry.index]);
}

const idsOf = (tasks: readonly CollectedTask[]) => tasks.map(({ id }) => id).sort();

async function listed<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}
