// A worker as a program of its own: `node run/worker-program.mjs <system> <url of its Redis> <name of its app or queue>`.
// Says `ready` once all its processes take jobs.
const [, , system, url, name] = process.argv;
const adapter = await import(`../systems/${system}.mjs`);
const worker = await adapter.open(url, { name }).serve();
if (worker.processIndex === undefined) console.log('ready');
