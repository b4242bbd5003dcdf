import { describe, expect, it } from 'vitest';

import { readDocuments, type Format } from '../../../cli/lib/json-documents.ts';

async function valuesOf(chunks: readonly string[], format?: Format): Promise<unknown[]> {
  async function* content(): AsyncIterable<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const values: unknown[] = [];
  for await (const { name, value } of readDocuments(content(), format)) values.push([name, value]);
  return values;
}

describe('documents of a file', () => {
  it('are one a line when it starts as an export does, however it comes', async () => {
    const text = '{"_key":"a","_v":1,"n":1}\n{"_key":"b","_v":1,"n":2}\n';
    const expected = [
      [undefined, { _key: 'a', _v: 1, n: 1 }],
      [undefined, { _key: 'b', _v: 1, n: 2 }],
    ];
    expect(await valuesOf([text])).toEqual(expected);
    expect(await valuesOf(text.split(/(?=_)/))).toEqual(expected);
    expect(await valuesOf([text.split('\n', 1)[0] ?? ''])).toEqual(expected.slice(0, 1));
  });

  it('are JSON otherwise, and what was asked for when something was', async () => {
    const byKey = '{"a":{"n":1}}';
    expect(await valuesOf([byKey])).toEqual([['a', { n: 1 }]]);
    expect(await valuesOf(['[{"n":1}', ']'])).toEqual([[undefined, { n: 1 }]]);
    expect(await valuesOf(['{"_key":{"n":1}}'], 'json')).toEqual([['_key', { n: 1 }]]);
    expect(await valuesOf([byKey], 'ndjson')).toEqual([[undefined, { a: { n: 1 } }]]);
    await expect(valuesOf([''])).rejects.toThrow('ends too early');
  });
});
