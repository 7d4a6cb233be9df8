import { drop, replay } from '../dead/change.js';
import { list, show } from '../dead/look.js';
import { defineGroup } from '../group.js';

export default defineGroup({
  description: 'Looks at the jobs that have failed for good, runs them again, or removes them.',
  verbs: { list, show, replay, drop },
  examples: [
    ['umbel dead list --name shop', 'what has failed'],
    ['umbel dead show 3f2a91c0-… --name shop', 'why'],
    ['umbel dead replay 3f2a91c0-… --name shop', 'again'],
  ],
});
