/**
 * This guard keeps long results out of the events of their queue.
 *
 * BullMQ also writes each result into the event `completed`. It stays there until 10,000 newer events exist, even after the
 * job was removed. For a long result the event contains a mark instead (`job/marks.ts`), and readers read the result from
 * the job. BullMQ has no option for this, so such a job is committed with BullMQ's script and a replaced `redis.call`. For
 * clients other than ioredis, whose scripts are unknown, long results stay in events until retention removes them
 * (`../../retention.ts`).
 */
import { type IQueueBackend, type KeepJobs, RedisQueueBackend } from 'bullmq';
import { LEFT_OUT } from '../../../codec/json.js';
import { isEnvelope } from '../../../job/envelope.js';
import { isLongText } from '../../../job/marks.js';
import { runScript } from './scripts.js';
import { scriptsOf } from './whole-scripts.js';

/** Indexes of the first argument of BullMQ's script, and of the result. */
const KEYS = 14;
const RESULT = KEYS + 3;
const COMMAND = 'moveToFinished';

/** Returns BullMQ's script, changed to write a mark instead of the result into events. */
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
  // Jobs of other programs keep BullMQ's events. If a job is not kept, only its event has the result.
  let mayLeaveOut = false;
  backend.moveToCompleted = (job, value, keep, ...rest) => {
    mayLeaveOut = isEnvelope(job.data) && isKept(keep);
    try {
      return moveToCompleted.call(backend, job, value, keep, ...rest); // calls `moveToFinished` before it waits
    } finally {
      mayLeaveOut = false;
    }
  };
  backend.moveToFinished = async (id, args) => {
    if (!mayLeaveOut || !isLongText(args[RESULT])) return moveToFinished.call(backend, id, args);
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
    const changed = { name: `umbel:${COMMAND}`, numberOfKeys, lua: withoutResult(lua) };
    return runScript(backend, changed, args as (string | number)[]);
  };
}
