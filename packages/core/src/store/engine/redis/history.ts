/** This module implements the history of attempts in Redis; `../../history.ts` uses it. */
import type { RedisQueueBackend } from 'bullmq';
import type { HistoryPrimitives } from '../../primitives/history.js';
import { pairsOf, runScript, type Script } from './scripts.js';

// Each slot is a hash that expires. It has a field for each task: its counts as text, which takes a tenth of the memory of a
// field for each count.
const ADD_HISTORY: Script = {
  name: 'umbel:addHistory',
  numberOfKeys: 1,
  lua: `for at = 3, #ARGV, 4 do
  local key = KEYS[1] .. ARGV[at]
  local task = ARGV[at + 2]
  local before = redis.call('HGET', key, task)
  if not before and task ~= '' and redis.call('HLEN', key) > tonumber(ARGV[1]) then
    task = ARGV[2]
    before = redis.call('HGET', key, task)
  end
  local counts = ARGV[at + 3]
  if before then
    local sums = {}
    for name, count in string.gmatch(before .. ' ' .. counts, '(%w+):(%d+)') do
      sums[name] = (sums[name] or 0) + count
    end
    local texts = {}
    for name, count in pairs(sums) do texts[#texts + 1] = string.format('%s:%.0f', name, count) end
    counts = table.concat(texts, ' ')
  end
  redis.call('HSET', key, task, counts)
  redis.call('PEXPIRE', key, ARGV[at + 1])
end
return 1`,
};

const READ_HISTORY: Script = {
  name: 'umbel:readHistory',
  numberOfKeys: 1,
  lua: `local answers = {}
for at = 2, #ARGV do answers[#answers + 1] = redis.call('HGET', KEYS[1] .. ARGV[at], ARGV[1]) or '' end
return answers`,
};

const READ_HISTORY_TASKS: Script = {
  name: 'umbel:readHistoryTasks',
  numberOfKeys: 1,
  lua: `local answers = {}
for at = 1, #ARGV do answers[#answers + 1] = redis.call('HGETALL', KEYS[1] .. ARGV[at]) end
return answers`,
};

export function redisHistory(backend: RedisQueueBackend): HistoryPrimitives {
  const key = backend.toKey('');
  return {
    async addHistory(entries, maxTasks, other) {
      const args = entries.flatMap(({ slot, keptMs, task, counts }) => [
        slot,
        Math.ceil(keptMs),
        task,
        counts,
      ]);
      await runScript(backend, ADD_HISTORY, [key, maxTasks, other, ...args]);
    },
    async readHistory(slots, task) {
      return (await runScript(backend, READ_HISTORY, [key, task, ...slots])) as string[];
    },
    async readHistoryTasks(slots) {
      const answers = (await runScript(backend, READ_HISTORY_TASKS, [key, ...slots])) as string[][];
      return answers.flatMap(pairsOf);
    },
  };
}
