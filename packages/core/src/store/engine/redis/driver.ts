/** This module is the driver of Redis: what Umbel does with BullMQ's Redis backends. */
import { type IQueueBackend, RedisQueueBackend } from 'bullmq';
import type { EngineDriver } from '../engine.js';
import { batchesCommands } from './batching/batched-backend.js';
import { redisCompaction } from './compaction.js';
import { startsDueJobs } from './due-jobs.js';
import { redisChildResults, redisEndedJobs, redisEndedTimes } from './ended-jobs.js';
import { isRedisTransient, redisRefusal } from './errors.js';
import { checkRedis, redisFacts } from './facts.js';
import { redisHistory } from './history.js';
import { redisJobRecords } from './job-records.js';
import { redisPrimitives } from './jobs.js';
import { keepsLongResultsOut } from './long-results.js';
import { redisLooks } from './looks.js';
import { redisPurge } from './purge.js';
import { redisLimits, redisQueueNames } from './queues.js';
import { redisRunTrees } from './run-trees.js';
import { redisSignals } from './signals.js';
import { keepsStoreTime } from './store-time.js';
import { redisOldEvents, redisStreams } from './streams.js';
import { redisTags } from './tags.js';
import { redefineScripts, runsWholeScripts } from './whole-scripts.js';

export const REDIS: EngineDriver = {
  kind: 'redis',
  owns: (backend) => backend instanceof RedisQueueBackend,
  commands: (backend) => {
    const redis = backend as RedisQueueBackend; // which it owns
    return {
      ...redisPrimitives(redis),
      ...redisLimits(redis),
      ...redisStreams(redis),
      ...redisEndedJobs(redis),
      ...redisEndedTimes(redis),
      ...redisChildResults(redis),
      ...redisCompaction(redis),
      ...redisOldEvents(redis),
      ...redisLooks(redis),
      ...redisPurge(redis),
      ...redisRunTrees(redis),
      ...redisJobRecords(redis),
      ...redisTags(redis),
      ...redisSignals(redis),
      ...redisHistory(redis),
      queueNames: (start) => redisQueueNames(redis, start),
    };
  },
  facts: (backend) => redisFacts(backend as RedisQueueBackend),
  check: checkRedis,
  prepare: runsWholeScripts,
  shareCommands: batchesCommands,
  claimsAtOnce: 16, // a batch
  keepTime: keepsStoreTime,
  guardWorker(backend, time) {
    batchesCommands(backend); // innermost: the others handle each call by itself
    keepsLongResultsOut(backend); // replaces the script of a commit
    keepsStoreTime(backend, time);
    startsDueJobs(backend);
  },
  restoreCommands: redefineScripts,
  stayClosed: staysClosed,
  isTransient: isRedisTransient,
  refusalOf: redisRefusal,
};

/**
 * Prevents a reconnect after closing. BullMQ reopens the connection of a late read even if it was closed in the meantime,
 * and then nothing would close it. Each reader has its own connection, even if the app was created with a client.
 */
function staysClosed(backend: IQueueBackend): void {
  if (!(backend instanceof RedisQueueBackend)) return;
  const connect = () => Promise.reject(new Error('Connection is closed.'));
  backend.connection.client.then(
    (client) => Object.assign(client, { connect }),
    () => {}, // it was never connected
  );
}
