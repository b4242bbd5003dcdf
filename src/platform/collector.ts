import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 begin all objects where collections are cheap, for the whole process and for good. Left to itself it learns by the place in the code: after a bulk
 * import, whose documents all stay, it makes those of every query where only full collections clean up, which
 * come for it several times as often (`--allocation-site-pretenuring`).
 */
export function keepNewObjectsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
