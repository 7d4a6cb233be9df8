/** The page in a real browser: every view, the actions, and that no text of a user becomes HTML. */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import { complete, DESKTOP, useBrowser, visit } from '../support/browser.js';
import { SECRET, withDemo } from '../support/demo.js';

const { program, open, serve, browser } = useBrowser();
/**
 * Where the pictures are. They are for people; no test reads them. A view has one, as they take a quarter of the time of the
 * test; with `UMBEL_SCREENSHOTS` each has all four.
 */
const isComplete = process.env.UMBEL_SCREENSHOTS !== undefined;
const PICTURES = process.env.UMBEL_SCREENSHOTS ?? join(tmpdir(), 'umbel-dashboard');
const PHONE = { width: 390, height: 844 };
mkdirSync(PICTURES, { recursive: true });

const isHacked = (page: Page) => page.evaluate(() => 'isHacked' in globalThis);

/** Whether a chart has pixels that are clearly green, as its first line is in both themes. */
const HAS_GREEN = `[...document.querySelectorAll('canvas')].some((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200 && data[at + 1] > data[at] + 40 && data[at + 1] > data[at + 2] + 20) return true;
  return false;
})`;

onEveryEngine('the page', (engine) => {
  test.skipIf(program === undefined)('shows every view, and acts', { timeout: 300_000 }, async () => {
    // A name for people in the pictures; in memory no other test sees it.
    const app = engine.app(engine.name === 'memory' ? { name: 'shop' } : {});
    await withDemo(app, async (ids) => {
      await app.schedules.sync();
      await (await app.schedules.get('nightly-report').runNow()).get({ timeout: '50s' });
      const address = await serve(app, '/ops');
      const { page, problems } = await open(address);
      const text = (part: string) => page.getByText(part).filter({ visible: true }).first().waitFor();

      const views: readonly (readonly [path: string, shown: string])[] = [
        ['/runs', ids.album],
        ['/jobs', 'word.count'],
        ['/jobs?q=state%3Aretrying', 'mail.send'],
        [`/jobs/${ids.failed}`, 'costs nothing'],
        [`/jobs/${ids.retrying}`, 'It waits for a retry, attempt 2'],
        [`/jobs/${ids.charged}`, '"charged": 990'],
        [`/runs/${ids.album}`, 'album.publish'],
        [`/runs/${ids.words}`, '60 of 60 done'],
        [`/runs/${ids.approval}`, 'it waits for signal "report.approved" with the key "r-17"'],
        [`/runs/${ids.broken}?step=${ids.broken}.0-1`, 'no price'],
        ['/failed', 'RangeError'],
        ['/history', 'completed'],
        ['/queues', 'images'],
        ['/workers', 'demo-1'],
        ['/schedules', 'nightly-report'],
        ['/signals', 'r-17'],
        ['/tasks', 'word.count'],
      ];
      for (const [index, [path, shown]] of views.entries()) {
        // A list keeps its rows until the rows of the next search are there: so each search is loaded by itself.
        await (path.includes('?') ? page.goto(`${address}${path}`) : visit(page, `${address}${path}`));
        await text(shown);
        await complete(page);
        expect(await page.content()).not.toContain(SECRET);
        expect(await isHacked(page)).toBe(false);
        if (engine.name !== 'memory') continue;
        const name = `${String(index).padStart(2, '0')}-${path.split(/[/?]/)[1]}`;
        const shoot = (kind: string) =>
          page.screenshot({
            path: join(PICTURES, `${name}-${kind}.png`),
            fullPage: kind.startsWith('phone'),
          });
        await shoot('desktop-light');
        if (isComplete) {
          await page.emulateMedia({ colorScheme: 'dark' });
          await shoot('desktop-dark');
        }
        await page.setViewportSize(PHONE);
        // A page that is wider than the phone scrolls sideways.
        const width = await page.evaluate<number>('document.documentElement.scrollWidth');
        expect({ path, width }).toEqual({ path, width: PHONE.width });
        if (isComplete) {
          await shoot('phone-dark');
          await page.emulateMedia({ colorScheme: 'light' });
          await shoot('phone-light');
        }
        await page.setViewportSize(DESKTOP);
      }

      // A replay with an input that does not fit, and then with one that does.
      await visit(page, `${address}/jobs/${ids.dropped}`);
      await page.getByRole('button', { name: 'Replay with edited input' }).click();
      const editor = page.getByRole('dialog').getByLabel('Input, as JSON');
      await editor.fill('{"order":"o-9","cents":"many"}');
      const send = page.getByRole('dialog').getByRole('button', { name: 'Replay with edited input' });
      await send.click();
      await page.getByRole('alert').getByText('cents').first().waitFor();
      await editor.fill('{"order":"o-9","cents":44}');
      await send.click();
      await text('"charged": 44');

      // The form of a task from its schema.
      await visit(page, `${address}/tasks`);
      await page
        .getByRole('row', { name: /order\.charge/ })
        .getByRole('button', { name: 'Run' })
        .click();
      await page.getByRole('dialog').getByLabel('order').fill('o-77');
      await page.getByRole('dialog').getByLabel('cents').fill('770');
      await page.getByRole('dialog').getByRole('button', { name: 'Run' }).click();
      await text('"charged": 770');

      // The keyboard chooses a step of the graph; its panel has the job.
      await visit(page, `${address}/runs/${ids.album}`);
      await page.getByRole('button', { name: /album\.publish: completed/ }).press('Enter');
      await page.getByRole('complementary', { name: 'Step' }).getByText('"published": 3').waitFor();
      expect(page.url()).toContain('step=');

      // A failed step offers to resume its run, and its row in the timeline says what it waited for.
      await visit(page, `${address}/runs/${ids.broken}?step=${ids.broken}.0-1`);
      await page
        .getByRole('complementary', { name: 'Step' })
        .getByRole('button', { name: 'Resume the run' })
        .waitFor();
      await page.getByRole('button', { name: /^order\.charge: .*ran .*, on the critical path$/ }).waitFor();
      await visit(page, `${address}/runs/${ids.asleep}`);
      await page.getByRole('button', { name: /^sleep 2h: slept / }).waitFor();

      // The members of a folded node.
      await visit(page, `${address}/runs/${ids.words}`);
      await page.getByRole('button', { name: /word\.count: 60 of 60/ }).click();
      await page.getByRole('complementary').getByRole('link', { name: 'Next page' }).click();
      await page.getByRole('complementary').getByRole('link', { name: 'First page' }).waitFor();

      // A signal, and what it starts: the open page changes by itself.
      const other = await browser().newPage();
      await other.goto(`${address}/runs/${ids.approval}`);
      await other.getByText('it waits for signal').first().waitFor();
      await visit(page, `${address}/signals`);
      await page.getByRole('button', { name: 'Send' }).first().click();
      await page.getByRole('dialog').getByLabel('by').fill('ann');
      await page.getByRole('dialog').getByLabel('ok').selectOption('true');
      await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
      await other.locator('main .state-completed').first().waitFor();
      await other.close();

      // Queues, schedules, failed jobs.
      await visit(page, `${address}/queues`);
      const images = page.locator('.queue', { has: page.getByRole('heading', { name: 'images' }) });
      await images.getByRole('button', { name: 'Pause' }).click();
      await images.getByText('paused').waitFor();
      expect(await app.queue('images').isPaused()).toBe(true);
      await images.getByRole('button', { name: 'Purge' }).click();
      const purge = page.getByRole('dialog').getByRole('button', { name: 'Purge' });
      expect(await purge.isDisabled()).toBe(true);
      await page.getByRole('dialog').getByLabel(/^Type/).fill('images');
      await purge.click();
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      await visit(page, `${address}/schedules`);
      await page.getByRole('button', { name: 'Pause' }).first().click();
      await page.getByRole('button', { name: 'Resume' }).first().waitFor();
      // The charts of a task, from what its workers have written.
      await expect
        .poll(async () => (await app.history.tasks()).some(({ task }) => task === 'word.count'), {
          timeout: 60_000,
        })
        .toBe(true);
      await visit(page, `${address}/history`);
      await page.getByRole('link', { name: 'word.count' }).click();
      await page.waitForURL(/task=word/);
      await page
        .getByRole('img', { name: /60 completed, 0 failed/ })
        .locator('canvas')
        .waitFor();
      // A canvas ignores a color that it does not understand, and draws in black.
      for (const colorScheme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme });
        await expect.poll(() => page.evaluate<boolean>(HAS_GREEN)).toBe(true);
      }
      await page.getByRole('link', { name: '7 days' }).click();
      await page.getByText('Attempts per 15 minutes').waitFor();

      // All jobs of a search are changed by one operation, with a preview.
      await visit(page, `${address}/jobs?q=state%3Afailed%20task%3Aorder.charge%20-error%3Ao-9`);
      await page.getByRole('button', { name: 'Retry all' }).click();
      await page.getByRole('dialog').getByText('match now').waitFor();
      await page
        .getByRole('dialog')
        .getByRole('button', { name: /^Retry \d/ })
        .click();
      const operation = page.getByRole('region', { name: 'Operations' });
      await operation.getByText('done').waitFor();
      await operation
        .getByText(/changed/)
        .first()
        .waitFor();

      // The errors by place; one of them opens its jobs.
      await visit(page, `${address}/failed`);
      const errors = page.locator('section', { has: page.getByRole('heading', { name: 'Errors' }) });
      await errors.getByText('support/demo.ts').first().waitFor();
      await errors.getByRole('link', { name: 'RangeError' }).click();
      await page.waitForURL(/group=/);
      await errors.getByRole('button', { name: 'Retry these' }).click();
      await page.getByRole('dialog').getByText('will run again').waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
      await errors.getByRole('link', { name: 'All errors' }).click();
      await page.waitForURL(/failed$/);
      await visit(page, `${address}/failed?error=RangeError`);
      await page.getByRole('button', { name: 'Drop all' }).click();
      await page.getByRole('dialog').getByText('will be removed from the store').waitFor();
      await page.getByRole('dialog').getByRole('button', { name: 'Drop all' }).click();
      await expect
        .poll(async () => (await app.deadLetters.list({ task: 'order.charge' })).length)
        .toBeLessThan(2);

      // The search is in the address, and survives the way back.
      await visit(page, `${address}/jobs`);
      await text('word.count');
      await page.keyboard.press('/');
      await page.keyboard.type('task:mail.*');
      await page.keyboard.press('Enter');
      await page.waitForURL(/\?q=task%3Amail/);
      await page.getByRole('link', { name: 'mail.send' }).click();
      await text('It waits for a retry');
      await page.goBack();
      await page.waitForURL(/\?q=task%3Amail/);
      await expect.poll(() => page.getByRole('searchbox').inputValue()).toBe('task:mail.*');

      expect(await isHacked(page)).toBe(false);
      expect(problems).toEqual([]);
      await page.close();
    });
  });
});
