/**
 * A long result stays out of the events of its queue.
 *
 * BullMQ writes each result into the event `completed` too. It stays there until 10,000 newer events have come, also
 * when the job itself is gone. An event of a long result has a mark in its place (`job/marks.ts`), by which readers know
 * that the job has the result. BullMQ has no option for this, so such a job is committed by BullMQ's own script with
 * another `redis.call`; all other jobs take the usual way. For clients other than ioredis, whose scripts are not known,
 * long results stay in the events until those go (`../retention.ts`).
 */
import { type IQueueBackend, type KeepJobs, RedisQueueBackend } from 'bullmq';
import { LEFT_OUT } from '../../codec/json.js';
import { isEnvelope } from '../../job/envelope.js';
import { isLongText } from '../../job/marks.js';
import { runScript } from '../primitives/scripts.js';
import { scriptsOf } from './scripts.js';

/** Where the arguments of BullMQ's script begin, and the result among them. */
const KEYS = 14;
const RESULT = KEYS + 3;
const COMMAND = 'moveToFinished';

/** BullMQ's script, with a mark in each event in the place of the result. */
function withoutResult(lua: string): string {
  const flags = /^#!.*\n/.exec(lua)?.[0] ?? '';
  return `${flags}local redis = setmetatable({ call = function(name, ...)
  if name ~= 'XADD' then return redis.call(name, ...) end
  local fields = { ... }
  for at = 1, #fields do
    if fields[at] == ARGV[4] then fields[at] = '{"${LEFT_OUT}":' .. #ARGV[4] .. '}' end
  end
  return redis.call(name, unpack(fields))
end }, { __index = redis })
${lua.slice(flags.length)}`;
}

function isKept(keep: boolean | number | KeepJobs | undefined): boolean {
  if (keep === true || keep === 0) return false;
  return typeof keep !== 'object' || keep.count !== 0;
}

export function keepsLongResultsOut(backend: IQueueBackend): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const { moveToCompleted, moveToFinished, execCommand } = backend;
  /** Jobs whose long results are being committed. */
  const long = new Set<string>();
  // Jobs of other programs have BullMQ's events; of a job that is not kept, only its event has the result.
  let isApart = false;
  backend.moveToCompleted = (job, value, keep, ...rest) => {
    isApart = isEnvelope(job.data) && isKept(keep);
    try {
      return moveToCompleted.call(backend, job, value, keep, ...rest); // calls `moveToFinished` before it waits
    } finally {
      isApart = false;
    }
  };
  backend.moveToFinished = async (id, args) => {
    if (!isApart || !isLongText(args[RESULT])) return moveToFinished.call(backend, id, args);
    long.add(id);
    try {
      return await moveToFinished.call(backend, id, args);
    } finally {
      long.delete(id);
    }
  };
  backend.execCommand = (client, command, args: unknown[]) => {
    const isLong = command === COMMAND && long.size > 0 && long.has(String(args[KEYS]));
    const script = isLong
      ? scriptsOf(client).find(([name]) => name.startsWith(`${COMMAND}:`))?.[1]
      : undefined;
    if (script === undefined) return execCommand.call(backend, client, command, args);
    const { lua, numberOfKeys } = script;
    const own = { name: `umbel:${COMMAND}`, numberOfKeys, lua: withoutResult(lua) };
    return runScript(backend, own, args as (string | number)[]);
  };
}
