import { chainRow } from './chain-row.mjs';

export const row = chainRow(10, 150, { size: { celery: 400, celeryQuick: 10 } });
