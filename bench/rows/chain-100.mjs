import { chainRow } from './chain-row.mjs';

export const row = chainRow(100, 15, { size: { celery: 200, celeryQuick: 100 } });
