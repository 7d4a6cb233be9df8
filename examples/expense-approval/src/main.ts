import { app } from './app.js';
import { listen } from './server.js';

await app.worker().start(); // in production a process of its own
listen();
