import { app, makeReport } from './contracts.js';

app.implement(makeReport, async ({ title, sections }, ctx) => {
  for (let done = 1; done <= sections; done += 1) {
    await ctx.sleep('200ms'); // a section is written
    await ctx.progress({ done, of: sections });
  }
  return { file: `${title.toLowerCase().replaceAll(' ', '-')}.pdf`, pages: sections * 3 };
});

await app.worker({ concurrency: 5 }).start();
