import { revoke, terminate } from '../control/jobs.js';
import { pause, rateLimit, resume } from '../control/queues.js';
import { addQueue, cancelQueue, concurrency, shutdown } from '../control/workers.js';
import { defineGroup } from '../group.js';

export default defineGroup({
  description:
    'Directs the workers, queues and jobs of an app. What concerns jobs and queues is stored, and holds for every worker, ' +
    'also for those that start later. Orders to workers (concurrency, add-queue, cancel-queue, shutdown) hold until they ' +
    'end: the exit code is 75 if one that should answer does not, 1 if one cannot obey, 3 if one that is named is not known.',
  verbs: {
    revoke,
    terminate,
    pause,
    resume,
    'rate-limit': rateLimit,
    concurrency,
    'add-queue': addQueue,
    'cancel-queue': cancelQueue,
    shutdown,
  },
  examples: [
    ['umbel control pause mail --name shop', 'no more mail, until resume'],
    ['umbel control revoke 3f2a91c0-… --name shop', 'not this one'],
    ['umbel control shutdown --worker mail.1 --yes', 'end a worker, as SIGTERM does'],
  ],
});
