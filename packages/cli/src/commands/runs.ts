import { defineGroup } from '../group.js';
import { graph } from '../runs/graph.js';
import { list } from '../runs/list.js';
import { resume, show } from '../runs/show.js';
import { tree } from '../runs/tree.js';

export default defineGroup({
  description: 'Looks at the compositions of an app, and runs again what has failed of them.',
  verbs: { list, show, tree, graph, resume },
  examples: [
    ['umbel runs list --state failed --name shop', 'what has failed'],
    ['umbel runs tree 3f2a91c0-… --name shop', 'at which step'],
    ['umbel runs resume 3f2a91c0-… --name shop', 'again, from there'],
  ],
});
