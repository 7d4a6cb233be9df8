// Next.js would call the route; the worker would be a process of its own, started from worker.ts.
import { setTimeout } from 'node:timers/promises';
import { GET, POST } from './app/api/thumbnails/route.js';
import { app } from './contracts.js';
import { worker } from './worker.js';

const url = 'http://localhost:3000/api/thumbnails';
const answer = async (route: Promise<Response>) => (await route).json() as Promise<Record<string, string>>;
const post = (body: object) => answer(POST(new Request(url, { method: 'POST', body: JSON.stringify(body) })));
const look = (id = '') => answer(GET(new Request(`${url}?id=${id}`)));

console.log(await post({ file: 'cat.gif' }));

const { id } = await post({ file: 'cat.png' });
console.log(await look(id));

await worker.start();
while ((await look(id)).state !== 'completed') await setTimeout(20);
console.log(await look(id));

await app.close();
