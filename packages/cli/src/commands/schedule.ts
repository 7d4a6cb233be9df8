import { defineGroup } from '../group.js';
import { pause, resume, run, sync } from '../schedule/change.js';
import { list, next } from '../schedule/look.js';

export default defineGroup({
  description:
    'Looks at the schedules of an app, pauses them, sends what they send, and stores what the code declares.',
  verbs: { list, next, run, pause, resume, sync },
  examples: [
    ['umbel schedule list --name shop', 'what comes when'],
    ['umbel schedule pause nightly --name shop', 'not tonight'],
    ['umbel schedule run nightly --name shop --wait', 'but now'],
  ],
});
