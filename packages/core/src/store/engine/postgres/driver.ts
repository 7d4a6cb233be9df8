/** This module is the driver of PostgreSQL: what Umbel does with its backends. */
import type { EngineDriver } from '../engine.js';
import { SqlBackend } from './backend.js';
import { sqlEndedTimes, sqlLimits, sqlPrimitives, sqlQueueNames, sqlStreams } from './commands.js';
import { sqlChildResults, sqlEndedJobs, sqlUnendedJobs } from './ended-jobs.js';
import { isPostgresTransient, postgresRefusal } from './errors.js';
import { checkPostgres, postgresFacts } from './facts.js';
import { sqlHistory } from './history.js';
import { sqlJobRecords } from './job-records.js';
import { sqlLists } from './lists.js';
import { sqlLooks } from './looks.js';
import { sqlPurge } from './purge.js';
import { sqlRunTrees } from './run-trees.js';
import { sqlSignals } from './signals.js';
import { keepsSqlTime } from './store-time.js';
import { sqlTags } from './tags.js';

export const POSTGRES: EngineDriver = {
  kind: 'postgres',
  claimsAtOnce: 64, // a batch
  commitsMayWait: true,
  owns: (backend) => backend instanceof SqlBackend,
  commands: (owned) => {
    const backend = owned as unknown as SqlBackend;
    return {
      ...sqlPrimitives(backend),
      ...sqlLimits(backend),
      ...sqlStreams(backend),
      ...sqlEndedJobs(backend),
      ...sqlEndedTimes(backend),
      ...sqlUnendedJobs(backend),
      ...sqlChildResults(backend),
      ...sqlLooks(backend),
      ...sqlLists(backend),
      ...sqlJobRecords(backend),
      ...sqlRunTrees(backend),
      ...sqlPurge(backend),
      ...sqlTags(backend),
      ...sqlSignals(backend),
      ...sqlHistory(backend),
      ...sqlQueueNames(backend),
    };
  },
  facts: (backend) => postgresFacts(backend as unknown as SqlBackend),
  check: checkPostgres,
  async prepare() {}, // connecting has migrated the schema
  keepTime: keepsSqlTime,
  guardWorker: keepsSqlTime,
  async restoreCommands() {}, // functions are part of the schema
  stayClosed() {}, // a shared database is opened by its users only
  isTransient: isPostgresTransient,
  refusalOf: postgresRefusal,
};
