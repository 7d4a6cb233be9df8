// The mistakes people make. What the compiler says of each is in messages.txt beside this file.
import { chain, chord, group } from '@umbel/canvas';
import { z } from 'zod';
import {
  add,
  app,
  area,
  cleanup,
  double,
  fetchPage,
  greet,
  label,
  measure,
  resize,
  sum,
} from '../../support/tasks.js';

// a key is left open that nothing brings
chain(fetchPage, resize, measure);
// a value of the wrong type, one level down
chain(fetchPage, resize.s({ width: 3 }), measure, label);
// .si() forgotten on a task without input
chain(fetchPage, cleanup);
// a scalar piped into an object
chain(double, add.s({ y: 4 }));
// .delay() called instead of passing the signature
chain(fetchPage, resize.s({ width: 3 }), measure.delay({ file: 'x' }), area);
// the body of a chord cannot take the results
chord([double.si(1), greet.si({ name: 'a' })], sum);
// a member of a group cannot take the previous result
chain(fetchPage, group({ r: resize.s({ width: 1 }), m: measure }), cleanup.si());
// a misspelt key
add.s({ yy: 2 });
// an extra key
add.s({ y: 2, z: 3 });
// a Date in the input
app.task({ name: 't', input: z.object({ job: z.object({ at: z.date() }) }), run: async () => 1 });
// a Date in the result
app.task({ name: 't', run: async () => ({ at: new Date() }) });
// the input of a workflow forgotten
void chain(resize.s({ width: 3 }), measure).delay();
