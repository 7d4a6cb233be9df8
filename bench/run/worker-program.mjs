// A worker as a program of its own: `node run/worker-program.mjs <system> <url of its Redis> <name of its app or queue>`.
const [, , system, url, name] = process.argv;
const adapter = await import(`../systems/${system}.mjs`);
const own = adapter.open(url, { name });
await own.serve();
