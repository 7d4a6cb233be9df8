// How long pages of the dashboard block the browser: a real Chromium opens them, with an observer of long tasks.
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dashboard } from '../../packages/dashboard/dist/index.js';
import { nodeHandler } from '../../packages/dashboard/dist/node.js';

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
/** What the observer does in the page. Tasks below 50 ms are not long. */
const OBSERVE = `globalThis.longest = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration);
}).observe({ type: 'longtask', buffered: true });`;

/**
 * The longest task of any of the pages, and the time until the graph of the slowest was there; undefined without Chromium.
 * Each page is opened, scrolled, zoomed, and updated once by an event.
 */
export async function longTasksOf(app, options, paths) {
  const program = PROGRAMS.find((name) => spawnSync(name, ['--version']).status === 0);
  const executablePath = process.env.CHROMIUM_PATH ?? program;
  if (executablePath === undefined) return undefined;
  const require = createRequire(new URL('../../packages/dashboard/package.json', import.meta.url));
  const { chromium } = require('playwright-core');
  const handle = nodeHandler(dashboard(app, options));
  const server = createServer((request, response) => void handle(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: pathOf(executablePath),
    args: ['--no-sandbox', '--disable-gpu'],
  });
  let longestMs = 0;
  let shownMs = 0;
  try {
    for (const path of paths) {
      const page = await browser.newPage({ viewport: { width: 1360, height: 860 } });
      await page.addInitScript(OBSERVE);
      const startedAt = performance.now();
      await page.goto(`http://127.0.0.1:${server.address().port}${path}`);
      await page.locator('.graph [role=button]').first().waitFor();
      shownMs = Math.max(shownMs, performance.now() - startedAt);
      for (const key of ['End', 'Home']) await page.keyboard.press(key);
      await page.waitForTimeout(3000); // the page reads again what changes
      longestMs = Math.max(longestMs, await page.evaluate('globalThis.longest'));
      await page.close();
    }
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
  return { longestMs, shownMs };
}

const pathOf = (program) => spawnSync('which', [program], { encoding: 'utf8' }).stdout.trim() || program;
