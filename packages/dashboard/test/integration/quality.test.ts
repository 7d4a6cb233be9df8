/** The page for people: keyboard, contrast, a large run, and what a page remembers. In a real browser, on the memory store. */
import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { useBrowser, visit } from '../support/browser.js';
import { hardToRead } from '../support/contrast.js';
import { withDemo } from '../support/demo.js';

const { program, open, serve, browser } = useBrowser();
const soon = { timeout: '50s' } as const;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

test.skipIf(program === undefined)(
  'can be read and used with the keyboard',
  { timeout: 300_000 },
  async () => {
    const app = createApp({ name: 'shop', connection: memory() });
    try {
      await withDemo(app, async (ids) => {
        await app.schedules.sync();
        const address = await serve(app, '/ops', { traceUrl: 'https://traces.example/t/{traceId}' });
        const { page, problems } = await open(address);
        await page.emulateMedia({ reducedMotion: 'reduce' });
        const paths = [
          `/runs/${ids.broken}?step=${ids.broken}.0-1`,
          `/compare?a=${ids.album}&b=${ids.broken}`,
          '/jobs?q=state%3Afailed',
          `/jobs/${ids.failed}`,
          `/jobs/${ids.retrying}`,
          ...['/runs', '/failed', '/queues', '/workers', '/schedules', '/signals', '/tasks', '/nowhere'],
        ];
        for (const path of paths) {
          await visit(page, `${address}${path}`);
          await page.locator('h1, .empty').first().waitFor();
          if (path !== '/nowhere') await page.locator('.list, .card').first().waitFor();
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme });
            expect({ path, colorScheme, hard: await hardToRead(page) }).toEqual({
              path,
              colorScheme,
              hard: [],
            });
          }
        }
        expect(await page.evaluate('document.getAnimations().length')).toBe(0);

        // The graph: one stop of the tabulator, arrows between steps, Enter opens, Escape closes.
        await visit(page, `${address}/runs/${ids.broken}`);
        const step = page.getByRole('button', { name: /report\.draft: completed/ });
        await step.focus();
        await page.keyboard.press('ArrowRight');
        const focused = page.locator('.node:focus');
        expect(await focused.getAttribute('aria-label')).toContain('order.charge: failed');
        expect(await page.locator('.node[tabindex="0"]').count()).toBe(1);
        await page.keyboard.press('Enter');
        await page.getByRole('complementary', { name: 'Step' }).getByText('no price').first().waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('complementary', { name: 'Step' }).waitFor({ state: 'detached' });
        const level = page.locator('.level');
        const before = await level.textContent();
        await page.keyboard.press('-');
        expect(await level.textContent()).not.toBe(before);

        // A dialog keeps the focus, Escape closes it, and the focus returns to its button.
        await visit(page, `${address}/queues`);
        const limits = page
          .locator('.queue', { has: page.getByRole('heading', { name: 'images' }) })
          .getByRole('button', { name: 'Limits' });
        await limits.focus();
        await page.keyboard.press('Enter');
        const dialog = page.getByRole('dialog');
        await dialog.waitFor();
        const isInside = () => page.evaluate('document.activeElement.closest("dialog") !== null');
        for (let times = 0; times < 12; times += 1) {
          await page.keyboard.press('Tab');
          // Behind the last element, browsers lead to their own controls: then nothing of the page has the focus.
          expect(
            (await isInside()) || (await page.evaluate('document.activeElement === document.body')),
          ).toBe(true);
        }
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        expect(await limits.evaluate((button) => button === button.ownerDocument.activeElement)).toBe(true);

        // Limits: what the dialog proposes is what is set.
        const setRate = async (max: string, unit: string) => {
          await limits.click();
          await dialog.getByLabel('Jobs that start').fill(max);
          await dialog.getByLabel('in a').selectOption(unit);
          await dialog.getByRole('button', { name: 'Set limits' }).click();
          await dialog.waitFor({ state: 'detached' });
        };
        await setRate('100', 'm');
        await page.getByText('At most 100 starts in 1m').waitFor();
        await limits.click();
        expect(await dialog.getByLabel('Jobs that start').inputValue()).toBe('100');
        expect(await dialog.getByLabel('in a').inputValue()).toBe('m');
        expect(await dialog.getByRole('button', { name: 'Set limits' }).isDisabled()).toBe(true);
        await page.keyboard.press('Escape');
        await setRate('', 'm');
        await page.getByText('At most 100 starts in 1m').waitFor({ state: 'detached' });

        // A saved view stays in the browser.
        await visit(page, `${address}/jobs?q=task%3Amail.*`);
        await page.getByRole('button', { name: 'Save this view' }).click();
        await dialog.getByLabel('Name').fill('Mails');
        await dialog.getByRole('button', { name: 'Save' }).click();
        await visit(page, `${address}/jobs`);
        await page
          .getByRole('navigation', { name: 'Saved views' })
          .getByRole('link', { name: 'Mails' })
          .click();
        await page.waitForURL(/q=task%3Amail/);
        await page.getByRole('button', { name: 'Remove this view' }).click();
        await page.getByRole('button', { name: 'Save this view' }).waitFor();

        // A search whose answers end early goes on by itself, says how far it is, and asks after very many jobs.
        const found = (await (await fetch(`${address}/api/list/jobs`)).json()) as { items: { id: string }[] };
        const [first, second] = found.items;
        const answers: Record<string, object> = {
          '': { items: [first], cursor: 'a', read: 400 },
          a: { items: [], cursor: 'b', read: 2000 },
          b: { items: [second], cursor: 'c', read: 9000 },
        };
        let release = () => {};
        const released = new Promise<void>((resolve) => {
          release = resolve;
        });
        await page.route(/api\/list\/jobs\?q=slow/, async (route) => {
          const cursor = new URL(route.request().url()).searchParams.get('cursor') ?? '';
          if (cursor === 'b') await released;
          await route.fulfill({ json: answers[cursor] ?? { items: [], read: 0 } });
        });
        await visit(page, `${address}/jobs?q=slow`);
        await page
          .getByText(/^1 of the first 2,400 jobs match, of [\d,]+ in all\. Searching further …$/)
          .waitFor();
        expect(await page.getByText('Search further', { exact: true }).count()).toBe(0);
        release();
        await page.getByText(/^2 of the first 11,400 jobs match, .*There are more to search\.$/).waitFor();
        const further = page.getByRole('link', { name: 'Search further' });
        expect(await further.getAttribute('href')).toContain('cursor=c');

        // Two runs side by side.
        await visit(page, `${address}/runs/${ids.broken}`);
        await page.getByRole('link', { name: 'Compare' }).click();
        await page.getByLabel('Run B').fill(ids.asleep);
        await page.getByRole('button', { name: 'Compare' }).click();
        await page.getByText('order o-1 costs nothing').first().waitFor();
        await page.getByRole('heading', { name: /of \d+ differ/ }).waitFor();

        // Recent inputs fill the form of a task; the input is copied as a command.
        await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
        await visit(page, `${address}/tasks`);
        await page
          .getByRole('row', { name: /word\.count/ })
          .getByRole('button', { name: 'Run' })
          .click();
        await dialog.getByLabel('Recent inputs').selectOption({ index: 1 });
        expect(JSON.parse(await dialog.getByLabel('Input, as JSON').inputValue())).toEqual({
          n: expect.any(Number),
        });
        await dialog.getByLabel('Input, as JSON').fill('{"n":7}');
        await dialog.getByRole('button', { name: 'Copy as CLI' }).click();
        await dialog.getByText('✓ Copied').waitFor();
        expect(await page.evaluate('navigator.clipboard.readText()')).toBe(
          `umbel call word.count --input '{"n":7}'`,
        );
        await page.keyboard.press('Escape');

        // A large group is unfolded in its node; the keyboard leads through its members, whose panel leaves them open.
        await visit(page, `${address}/runs/${ids.words}`);
        await page.getByRole('button', { name: /word\.count: 60 of 60/ }).click();
        const members = page.locator('.member');
        await members.nth(49).waitFor();
        await members.first().focus();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Enter');
        await page.locator('.member.chosen').waitFor();
        expect(await page.locator('.member').nth(11).getAttribute('aria-pressed')).toBe('true');
        await page.getByRole('complementary', { name: 'Step' }).getByText('"n":').first().waitFor();
        await page.getByRole('button', { name: /word\.count: 60 of 60/ }).focus();
        await page.keyboard.press('Enter');
        await page.getByRole('complementary').getByRole('link', { name: 'Next page' }).click();
        await expect.poll(() => members.count()).toBe(10);

        await walkByTouch(address, ids);

        // A job leads to its trace.
        const traced = await app.send(
          'word.count',
          { n: 1 },
          { headers: { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` } },
        );
        await traced.get(soon);
        await visit(page, `${address}/jobs/${traced.id}`);
        expect(await page.getByRole('link', { name: TRACE }).getAttribute('href')).toBe(
          `https://traces.example/t/${TRACE}`,
        );
        expect(problems).toEqual([]);
        await page.close();
      });
    } finally {
      await app.close();
    }
  },
);

const PHONE = { width: 390, height: 844 };

/** What fingers need: on every page each target is 24 pixels large, and nothing but tables of code scrolls sideways. */
async function walkByTouch(
  address: string,
  ids: Readonly<Record<'album' | 'dropped', string>>,
): Promise<void> {
  const context = await browser().newContext({ viewport: PHONE, hasTouch: true, isMobile: true });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  try {
    await page.goto(`${address}/runs`);
    for (const name of [
      'Jobs',
      'Failed',
      'History',
      'Queues',
      'Workers',
      'Schedules',
      'Signals',
      'Tasks',
      'Runs',
    ]) {
      await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true }).tap();
      await page.locator('h1').first().waitFor();
      await page.locator('main .list, main .card, main .empty').first().waitFor();
      expect({ name, ...(await fitOf(page)) }).toEqual({ name, width: PHONE.width, small: [] });
      // A rule for touch screens must not change how the numbers of a queue are laid out.
      const layouts = await page.evaluate(
        `[...new Set([...document.querySelectorAll('.numbers > a')].map((link) => getComputedStyle(link).display))]`,
      );
      expect(layouts).toEqual(name === 'Queues' ? ['flex'] : []);
    }
    // A tap opens a run, and a step of its graph; a page scrolls to its end.
    await page.locator(`a[href$="/runs/${ids.album}"]`).tap();
    await page.getByRole('button', { name: /album\.publish: completed/ }).tap();
    await page.getByRole('complementary', { name: 'Step' }).getByText('"published": 3').waitFor();
    expect(await fitOf(page)).toEqual({ width: PHONE.width, small: [] });
    await page.getByRole('button', { name: 'Close the panel' }).tap();
    await page.getByRole('complementary', { name: 'Step' }).waitFor({ state: 'detached' });
    await page.evaluate('scrollTo(0, document.documentElement.scrollHeight)');
    await page.getByRole('heading', { name: 'Result' }).waitFor();
    expect(await page.evaluate('scrollY')).toBeGreaterThan(0);
    await page.goto(`${address}/jobs/${ids.dropped}`);
    await page.getByRole('button', { name: 'Replay with edited input' }).tap();
    await page.getByRole('dialog').waitFor();
    expect(await fitOf(page)).toEqual({ width: PHONE.width, small: [] });
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).tap();
    await page.goto(`${address}/tasks`);
    await page
      .getByRole('row', { name: /word\.count/ })
      .getByRole('link', { name: 'History' })
      .tap();
    await page.getByRole('heading', { name: 'History of word.count' }).waitFor();
  } finally {
    await context.close();
  }
}

/** The width of a page, and its targets below 24 pixels. */
function fitOf(page: Page): Promise<{ width: number; small: readonly string[] }> {
  return page.evaluate(`(() => {
    const small = [];
    for (const target of document.querySelectorAll('a, button, input, select, textarea, summary, [role=button]')) {
      const { width, height } = target.getBoundingClientRect();
      const isShown = target.checkVisibility() && width > 0 && getComputedStyle(target).position !== 'fixed';
      if (isShown && Math.min(width, height) < 23.5)
        small.push(target.outerHTML.slice(0, 120) + ' ' + Math.round(width) + '×' + Math.round(height));
    }
    return { width: document.documentElement.scrollWidth, small };
  })()`);
}

test.skipIf(program === undefined)(
  'draws 397 different steps, shows the chosen one, and lists more steps than it can draw',
  { timeout: 300_000 },
  async () => {
    const app = createApp({ name: 'large', connection: memory() });
    const tasks = Array.from({ length: 100 }, (_, n) =>
      app.task({ name: `step-${n}`, input: z.unknown(), run: async () => n }),
    );
    await app.worker({ concurrency: 20 }).start();
    try {
      const run = await chain(
        group(tasks.slice(0, 99).map((task) => chain(task, task, task, task))),
        tasks[99] as (typeof tasks)[number],
      ).delay(0);
      await run.get(soon);
      const address = await serve(app, '');
      const { page, problems } = await open(address);
      await page.goto(`${address}/runs/${run.id}?step=${run.id}.0-0.80`);
      await page.locator('.node.chosen').waitFor();
      expect(await page.locator('.node').count()).toBe(397);
      // The chosen step is in the view, far down.
      const isShown = () =>
        page.locator('.node.chosen').evaluate((node) => {
          const [inner, outer] = [node, node.closest('.canvas')].map((each) => each?.getBoundingClientRect());
          return (
            inner !== undefined &&
            outer !== undefined &&
            inner.top >= outer.top &&
            inner.bottom <= outer.bottom
          );
        });
      await expect.poll(isShown).toBe(true);
      await page.getByRole('button', { name: 'Fit' }).click();
      await expect.poll(() => page.locator('.level').textContent()).toBe('20 %');

      const larger = await group(
        tasks.slice(0, 99).map((task) => chain(task, task, task, task, task, task)),
      ).delay(0);
      await larger.get(soon);
      await page.goto(`${address}/runs/${larger.id}`);
      await page.getByText('594 different steps: too many to draw').waitFor();
      const steps = page.getByRole('table', { name: 'Steps' }).getByRole('button');
      expect(await steps.count()).toBe(100);
      await page.getByRole('button', { name: 'Next', exact: true }).click();
      await page.getByText('101–200 of 594').waitFor();
      await page.getByLabel('Name').fill('step-98');
      await expect.poll(() => steps.count()).toBe(6);
      await page.getByLabel('State').selectOption('completed');
      await steps.first().click();
      await page.getByRole('complementary', { name: 'Step' }).getByText('step-98').first().waitFor();
      expect(problems).toEqual([]);
      await page.close();
    } finally {
      await app.close();
    }
  },
);
