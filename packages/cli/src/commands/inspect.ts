import { defineGroup } from '../group.js';
import { active, conf, ping, registered, stats } from '../inspect/asked.js';
import { queues } from '../inspect/queues.js';
import { reserved, scheduled } from '../inspect/waiting.js';
import { workers } from '../inspect/workers.js';

export default defineGroup({
  description:
    'Looks at the workers and queues of an app, and changes nothing. workers, queues, scheduled and reserved are told by the ' +
    'store; the others are asked of the workers: the exit code is 75 if one that should answer does not, 1 if one cannot, 3 if ' +
    'one that is named is not known.',
  verbs: { workers, queues, active, scheduled, reserved, registered, stats, conf, ping },
  examples: [
    ['umbel inspect workers --name shop', 'who is there'],
    ['umbel inspect active --name shop', 'what runs'],
    ['umbel inspect queues --name shop -b redis://db:6379', 'what waits'],
    ['umbel inspect ping --app ./tasks.ts || alert', 'do all workers answer?'],
  ],
});
