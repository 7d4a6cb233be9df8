import { defineGroup } from '../group.js';
import { list } from '../jobs/list.js';
import { show } from '../jobs/show.js';

export default defineGroup({
  description: 'Looks at the jobs of tasks that the store holds.',
  verbs: { list, show },
  examples: [
    ['umbel jobs list --state failed --name shop', 'what has failed'],
    ['umbel jobs show 3f2a91c0-… --name shop', 'one, with its input'],
  ],
});
