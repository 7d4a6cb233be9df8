/** Reads what a Redis holds at the end of a campaign, key by key and without Umbel. */
import { Cluster } from 'ioredis';
import { JOB_SETS, OPEN_SETS, OTHER_KEYS } from '../../../test/support/queue-keys.js';
import type { clientOf } from '../connection.js';
import { parsed, type SignalRecord, type StoredJob, type StoredState } from '../stored-state.js';

const OF_QUEUE = new Set([...JOB_SETS, ...OTHER_KEYS]);
const OF_JOB = new Set(['dependencies', 'processed', 'failed', 'unsuccessful', 'logs']);
/** Jobs that are read in one round trip. */
const SLICE = 500;

type Client = ReturnType<typeof clientOf>;

export async function readStoredState(client: Client, app: string): Promise<StoredState> {
  const prefix = `umbel:{${app}}:`;
  const keys = (await keysOf(client, `${prefix.replace(/[{}]/g, '\\$&')}*`)).map((key) =>
    key.slice(prefix.length),
  );
  const queues = new Set(
    keys.filter((key) => key.endsWith(':meta')).map((key) => key.slice(0, -':meta'.length)),
  );
  const states = new Map<string, string>();
  for (const queue of queues) {
    for (const state of JOB_SETS) {
      for (const id of await membersOf(client, `${prefix}${queue}:${state}`))
        states.set(`${queue}:${id}`, state);
    }
  }
  const jobKeys: string[] = [];
  const records: string[] = [];
  const locks: string[] = [];
  const parts: string[] = [];
  for (const key of keys) {
    const [queue = '', id = '', part] = key.split(':');
    if (!queues.has(queue) && part === undefined && id === 'events') continue; // of a queue that holds no jobs
    if (part === undefined && OF_QUEUE.has(id)) continue;
    if (queue === 'umbel.history') continue; // numbers of tasks, with a time to live
    if (queue === 'umbel.signals' && id === 'waits') continue; // the index of the open ones among the records
    if (queue === 'umbel.signals' && id.startsWith('w-')) records.push(key);
    else if (part === undefined) jobKeys.push(key);
    else if (part === 'lock') locks.push(`${queue}:${id}`);
    else parts.push(key);
  }
  const jobs = await readJobs(client, prefix, jobKeys, states);
  const known = new Set(jobKeys);
  const strayKeys = parts.filter((key) => {
    const [queue, id, part = ''] = key.split(':');
    return !OF_JOB.has(part) || !known.has(`${queue}:${id}`);
  });
  const withoutJob = [...states.keys()].filter((key) => !known.has(key) && !key.startsWith('umbel.tags:'));
  const signals = await Promise.all(records.map((key) => readSignal(client, `${prefix}${key}`)));
  return { jobs, signals, strayKeys: [...strayKeys, ...withoutJob], locks };
}

async function readSignal(client: Client, key: string): Promise<SignalRecord> {
  const [name = '', state] = await client.hmget(key, 'k', 's');
  return { key: name ?? '', state: state ?? 'absent', expires: (await client.pttl(key)) > 0 };
}

/** How many jobs have not ended. */
export async function countOpenJobs(client: Client, app: string, queues: readonly string[]): Promise<number> {
  let open = 0;
  for (const queue of queues) {
    for (const state of OPEN_SETS) {
      const ids = await membersOf(client, `umbel:{${app}}:${queue}:${state}`);
      open += ids.length;
    }
  }
  return open;
}

async function membersOf(client: Client, key: string): Promise<string[]> {
  const type = await client.type(key);
  if (type === 'list') return (await client.lrange(key, 0, -1)).filter((id) => !id.startsWith('0:'));
  if (type === 'zset') return client.zrange(key, '0', '-1');
  return [];
}

async function keysOf(client: Client, match: string): Promise<string[]> {
  const nodes = client instanceof Cluster ? client.nodes('master') : [client];
  const keys = new Set<string>();
  for (const node of nodes) {
    for await (const found of node.scanStream({ match, count: 5000 })) {
      for (const key of found as string[]) keys.add(key);
    }
  }
  return [...keys];
}

async function readJobs(
  client: Client,
  prefix: string,
  keys: readonly string[],
  states: ReadonlyMap<string, string>,
): Promise<StoredJob[]> {
  const jobs: StoredJob[] = [];
  for (let from = 0; from < keys.length; from += SLICE) {
    const slice = keys.slice(from, from + SLICE);
    const pipeline = client.pipeline();
    for (const key of slice) pipeline.hgetall(`${prefix}${key}`);
    const answers = (await pipeline.exec()) ?? [];
    for (const [index, key] of slice.entries()) {
      const [error, fields] = answers[index] ?? [];
      if (error) throw error;
      jobs.push(jobOf(key, fields as Record<string, string>, states.get(key), prefix));
    }
  }
  return jobs;
}

function jobOf(
  key: string,
  fields: Readonly<Record<string, string>>,
  state: string | undefined,
  prefix: string,
): StoredJob {
  const [queue = '', id = ''] = key.split(':');
  const { name = '', data, returnvalue, failedReason, processedOn, finishedOn, atm, parentKey } = fields;
  const [parentQueue, parentId] = parentKey?.slice(prefix.length).split(':') ?? [];
  const content = parsed(data);
  return {
    queue,
    id,
    name,
    state,
    data: typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined,
    result: parsed(returnvalue),
    failedReason,
    startedAt: processedOn === undefined ? undefined : Number(processedOn),
    finishedAt: finishedOn === undefined ? undefined : Number(finishedOn),
    attempts: Number(atm ?? 0),
    parent:
      parentQueue === undefined || parentId === undefined ? undefined : { queue: parentQueue, id: parentId },
  };
}
