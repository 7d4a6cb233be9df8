import { app, signUp } from './signup.js';

await app.worker().start();
const first = await signUp('ada@a.example');
console.log(await first.get());
const second = await signUp('ada@a.example');
console.log('signing up again is the same call:', second.id === first.id);
await app.close();
