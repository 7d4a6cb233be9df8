import { chain, fallback, group } from '@umbel/canvas';
import { album, app, describe, download, publish, resize, withoutText } from './tasks.js';

// A photo: two sizes and a text at the same time. A text that fails is replaced, for it is not worth the photo.
const photo = (file: string) =>
  chain(
    download.si({ file }),
    group({
      sizes: group([resize.s({ width: 100 }), resize.s({ width: 1000 })]),
      text: fallback(describe, withoutText),
    }),
    publish,
  );

// All photos at the same time. `settled` waits for all, and tells of each how it ended, so that none spoils the album.
const photos = ['cat.png', 'gone.png', 'fog.png'].map(photo);
const patient = chain(group.settled(photos), album.into('photos', { title: 'Alps' }));

// `any` goes on with the first that is there, and `cancelSiblings` leaves out what nobody needs any more.
const cover = group.any(photos.slice(0, 2), { cancelSiblings: true });

await app.worker().start();

const run = await patient.delay();
for (const line of await run.get()) console.log(line);
const { total, completed, failed } = await run.counts();
console.log(`${total} tasks: ${completed} completed, ${failed} failed`);

console.log('cover:', await (await cover.delay()).get());

// Without a policy the first failure is that of the whole: the error names the step, and has its cause.
const strict = await (await group(photos).delay()).outcome();
console.log('strict:', strict.ok ? strict.value : strict.error.message.replace(/ \(job .*\)/, ''));

await app.close();
