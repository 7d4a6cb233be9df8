import { addAndWait, closeLegacy, runMail, runReport } from './legacy.js';
import { app, mail, worker } from './moved.js';
import { startWorker } from './store.js';

console.log('1. two queues of BullMQ');
const oldMails = startWorker('mails', runMail);
const reports = startWorker('reports', runReport);
console.log('  ', await addAndWait('mails', 'welcome', { to: 'Ada' }));
console.log('  ', await addAndWait('reports', 'monthly', { month: 'May' }));

console.log('2. the worker of one of them is replaced; nobody who adds jobs has to know');
await oldMails.close();
await worker.start();
console.log('  ', await addAndWait('mails', 'welcome', { to: 'Bob' }));

console.log('3. whoever adds jobs moves to the task, one place after the other');
console.log('  ', await (await mail.delay({ to: 'Cleo', template: 'goodbye' })).get());
console.log('  ', await addAndWait('mails', 'welcome', { to: 'Dan' }));
console.log('  ', await addAndWait('reports', 'monthly', { month: 'June' }));

await Promise.all([app.close(), reports.close(), closeLegacy()]);
