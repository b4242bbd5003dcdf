/** Does what a bulk import does to V8, and then what queries do; tells how much of the latter is kept, in MiB. */
import { parentPort, workerData } from 'node:worker_threads';

import { keepNewObjectsYoung } from '../../src/platform/collector.ts';
import { keptOf } from './kept.ts';

const STAYING = 1_000_000;
const PASSING = 200_000;

class Made {
  readonly name: number;
  readonly fields: object;

  constructor(name: number) {
    this.name = name;
    this.fields = { name, next: name + 1, list: [name, name] };
  }
}

const make = (name: number): object => ({
  name,
  body: { text: name, list: [name, name + 1] },
  made: new Made(name),
});

if ((workerData as { readonly isYoung: boolean }).isYoung) keepNewObjectsYoung();
const staying: object[] = [];
for (let at = 0; at < STAYING; at++) staying.push(make(at));
staying.length = 0;
let at = 0;
parentPort?.postMessage(keptOf(() => make(at++), PASSING));
