// The mistakes people make. What the compiler says of each is in messages.txt beside this file.
import {
  chain,
  chord,
  chunks,
  fallback,
  flat,
  group,
  loop,
  map,
  match,
  sleep,
  starmap,
  waitFor,
  when,
} from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';
import {
  add,
  alarm,
  app,
  area,
  cleanup,
  double,
  fetchPage,
  fibonacci,
  greet,
  isLarge,
  label,
  listUrls,
  measure,
  notify,
  resize,
  route,
  scale,
  sum,
} from '../../support/tasks.js';

const approved = app.signal({ name: 'approved', payload: z.object({ by: z.string(), ok: z.boolean() }) });
const pay = app.task({
  name: 'pay',
  input: z.object({ by: z.string(), ok: z.boolean() }),
  run: async () => 1,
});
const refine = app.task({
  name: 'refine',
  input: z.object({ text: z.string(), score: z.number() }),
  run: async ({ text, score }) => ({ text, score }),
});

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
// a misspelt key one level down
app
  .task({ name: 't', input: z.object({ at: z.object({ x: z.number() }) }), run: async () => 1 })
  .s({ at: { x: 1, y: 2 } });
// a discriminant that there is not
notify.s({ via: 'fax' });
// a Date in the input
app.task({ name: 't', input: z.object({ job: z.object({ at: z.date() }) }), run: async () => 1 });
// a Date in the result
app.task({ name: 't', run: async () => ({ at: new Date() }) });
// undefined in a list
app.task({ name: 't', input: z.object({ names: z.array(z.string().optional()) }), run: async () => 1 });
// the input of a workflow forgotten
void chain(resize.s({ width: 3 }), measure).delay();
// two steps that do not fit, both reported
fetchPage.pipe(measure).pipe(add);
// a list of unknown length
const doubles: (typeof double)[] = [];
chain(double, ...doubles, sum);
// a member that is no step, in a list and in a record
group([double, 3]);
group({ a: double, b: 3 });
// a member that was sent already
group([double.si(1), double.delay(1)]);
// numbers expected after a settled group
chain(group.settled([double.si(1), double.si(2)]), sum);
// the same as the body of a chord
chord(group.settled([double.si(1)]), sum);
// a task as the header of a chord
chord(double, sum);
// the result of any member may be of either type
chain(group.any([double.si(1), greet.si({ name: 'a' })]), double);
// an input of the wrong type
map(double, [1, 'a']);
// an input with a misspelt key
map(fetchPage, [{ url: 'a' }, { ulr: 'b' }]);
// items that the step cannot take
chain(listUrls, map(measure));
// map after what is no list
chain(double, map(double));
// map forgotten
chain(listUrls, fetchPage);
// a size forgotten
chunks(double, [1, 2]);
// a key that is not listed, one that there is not, a value of the wrong type
starmap(add, ['x'], [[1]]);
starmap(add, ['x', 'z'], [[1, 2]]);
starmap(add, ['x', 'y'], [[1, 'a']]);
// a case that is missing
chain(route, match('kind', { img: measure }));
// a case that cannot take its value
chain(route, match('kind', { img: measure, page: measure }));
// a test that gives no boolean
when(double, double);
// a comparison of the wrong type, and one that there is not
when({ width: { gt: '5' } }, area);
when({ width: { greater: 5 } }, area);
// a condition on a key that there is not
chain(measure, when({ wdth: 5 }, area));
// a branch that cannot take the value
chain(measure, when({ width: 5 }, area, label));
// a fallback that takes no failure
fallback(double, sum);
// the step after a fallback takes only one of the two results
chain(fallback(double, alarm), double);
// flat on a plain list
flat(map(double, [1]));
// callbacks that cannot take what they are given
double.link(fetchPage);
double.linkError(isLarge);
double.finally(double);
// a contract without a handler, and a handler without a contract
app.implementAll({ scale, fibonacci }, { fibonacci: async (n) => n });
app.implementAll({ fibonacci }, { fibonacci: async (n) => n, factorial: async () => 1 });
// a task that is not in the module
interface Tasks {
  fetchPage: typeof fetchPage;
}
app.client<Tasks>().fetchPages;
// what is scheduled still needs input
app.schedule('pages', { every: '1h' }, chain(fetchPage, resize.s({ width: 3 })));
// when it is scheduled is said twice
app.schedule('clean', { every: '1h', cron: '0 * * * *' }, cleanup);
// await forgotten before the result
double.delay(2).get();
// the input of a call forgotten, and one of the wrong type
void double.delay();
void double.delay('2');
// a misspelt option of a call
void double.applyAsync(2, { coutdown: '10m' });
// a number for retry, a time that is none, a word for a priority
app.task({ name: 't', retry: 3, run: async () => 1 });
app.task({ name: 't', timeout: 'thirty seconds', run: async () => 1 });
app.task({ name: 't', priority: 'high', run: async () => 1 });
// a misspelt option of a task
app.task({ name: 't', timout: '30s', run: async () => 1 });
// a replacement that is no step
app.task({ name: 't', run: async (_, ctx) => ctx.replace(5) });
// a handler that does not give what it promises
app.task({ name: 't', output: z.object({ id: z.string() }), run: async () => ({ id: 5 }) });
// an app without a name
createApp({});
// options in the place of an input that is not needed
void resize.s({ width: 3, path: 'a.png' }).applyAsync({ idempotencyKey: 'a' });
void chain(resize.si({ width: 3, path: 'a.png' }), measure).applyAsync({ countdown: '1m' });
// the body of a loop cannot take its own result
loop(measure, { until: { width: 3 }, max: 5 });
// `max` forgotten, and an `until` that gives no boolean, takes another value or asks for a key that there is not
loop(double, { until: isLarge });
loop(double, { until: double, max: 5 });
loop(refine, { until: isLarge, max: 5 });
loop(refine, { until: { scor: 3 }, max: 5 });
// a budget of a key that holds no number
loop(refine, { until: { score: 3 }, max: 5, budget: { key: 'text', max: 9 } });
// a moment that is no text, and one that there is not
chain(measure, sleep.until('width'), area);
chain(measure, sleep.until('dueAt'), area);
// a `timeout` forgotten, and one that is none
waitFor(approved, { key: { text: 'a' } });
waitFor(approved, { timeout: 'a week' });
// a key of the wait that there is not
chain(measure, waitFor(approved, { key: 'id', timeout: '7d' }), cleanup.si());
// the step after a wait cannot take the payload
chain(measure, waitFor(approved, { timeout: '7d' }), area);
// the step after a wait cannot take what it gives after its time
chain(measure, waitFor(approved, { timeout: '7d', onTimeout: 'nobody' }), pay);
// `into` after what is no object
chain(double, waitFor(approved, { timeout: '7d', into: 'decision' }));
// a task in the place of a signal
waitFor(double, { timeout: '7d' });
// a payload that does not fit, and one forgotten
void approved.send('a', { by: 'ann', ok: 'yes' });
void approved.send('a');
// a strict schema that refuses a key of the previous result
chain(measure, app.task({ name: 't', input: v.strictObject({ width: v.number() }), run: async () => 1 }));

import * as v from 'valibot';
