import { startTestServer, type TestResponse, type TestServer } from '../../support/server.ts';

/** Two collections whose documents differ in nothing but what is hidden from `token`. */
export const NAMES = ['employees', 'workers'] as const;
/** One of them. */
export type Name = (typeof NAMES)[number];

/** Stands in hidden values, of either collection, and nowhere else. */
export const SECRETS: Readonly<RegExp> = /(?<![\d.])7\d{11}(?!\d)|S3CRET/;
/** What is hidden of both. */
export const HIDDEN = ['salary', 'pay.base', 'history.salary', 'grades.0'] as const;

interface HiddenValues {
  readonly salary?: number;
  readonly base?: number;
  /** By element of `history`. */
  readonly past?: readonly number[];
  readonly grade?: string | null;
}

function employee(name: string, dept: string, hidden: HiddenValues): object {
  const { salary, base, past = [], grade = null } = hidden;
  return {
    ...{ name, dept, pay: { bonus: name.length, ...(base === undefined ? {} : { base }) } },
    ...(salary === undefined ? {} : { salary }),
    history: [2020, 2021].map((year, at) => {
      const before = past[at];
      return { year, ...(before === undefined ? {} : { salary: before }) };
    }),
    grades: [grade, 'b'],
  };
}

/** The bodies by collection and key. */
export const DOCUMENTS: Readonly<Record<Name, Readonly<Record<string, object>>>> = {
  employees: {
    ann: employee('Ann', 'd1', {
      salary: 700000100000,
      base: 700000200000,
      past: [700000300000],
      grade: 'S3CRET',
    }),
    bob: employee('Bob', 'd1', { salary: 790000100000, past: [700000400000, 700000500000] }),
    cy: employee('Cy', 'd2', { salary: 740000000000, base: 700000600000 }),
  },
  workers: {
    ann: employee('Ann', 'd1', { salary: 799999900000, past: [700000700000, 700000800000] }),
    bob: employee('Bob', 'd1', { base: 700000900000, grade: 'S3CRETS' }),
    cy: employee('Cy', 'd2', {
      salary: 700000000000,
      base: 711111100000,
      past: [722222200000, 733333300000],
    }),
  },
};

/** A request about one of the collections. */
export type Ask = (name: Name) => readonly [method: string, path: string, body?: unknown];

/** A server with both collections, and a token for everything but what is hidden. */
export interface HiddenScene extends AsyncDisposable {
  readonly server: TestServer;
  readonly token: string;
  send(ask: Ask, name: Name): Promise<TestResponse>;
  /** Puts all documents back as they were. */
  reset(): Promise<void>;
  /** A body as it is stored. */
  stored(name: Name, key?: string): Promise<Readonly<Record<string, unknown>>>;
}

/** Fills a server; `about-…` holds a document that refers to one of each collection. */
export async function openScene(): Promise<HiddenScene> {
  const server = await startTestServer();
  const reset = async (): Promise<void> => {
    for (const name of NAMES) {
      const writes = Object.entries(DOCUMENTS[name]).map(([key, fields]) => {
        return { key, body: { fields } };
      });
      await server.asRoot('POST', `/v1/collections/${name}/documents:batchSet`, { writes });
    }
  };
  await reset();
  for (const name of NAMES) {
    const path = `/v1/collections/${name}`;
    const note = { body: { fields: { who: 'ann', text: 'n' } } };
    await server.asRoot('PUT', `/v1/collections/about-${name}/documents/note`, note);
    for (const field of ['dept', 'salary', 'pay.base']) {
      await server.asRoot('POST', `${path}/indexes`, { fields: [{ path: field }] });
    }
  }
  const hidings = NAMES.flatMap((name) => HIDDEN.map((field) => `hide:${name}:${field}`));
  const token = await server.tokenWith(['admin:*:*', 'snapshot:*:*', ...hidings]);
  return {
    ...{ server, token, reset },
    async send(ask, name) {
      const [method, path, body] = ask(name);
      return await server.request(method, path, { body, token });
    },
    async stored(name, key = 'ann') {
      const { body } = await server.asRoot('GET', `/v1/collections/${name}/documents/${key}`);
      return body.document.fields as Readonly<Record<string, unknown>>;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const documents = (name: string): string => `/v1/collections/${name}/documents`;

/** QueryDocuments. */
export function query(parts: object, rest: object = {}): Ask {
  return (name) => ['POST', `${documents(name)}:query`, { query: parts, ...rest }];
}

/** AggregateDocuments with one figure. */
export function figure(kind: string, path: string, rest: object = {}): Ask {
  const metrics = [{ name: 'n', kind: `METRIC_KIND_${kind}`, path }];
  return (name) => ['POST', `${documents(name)}:aggregate`, { metrics, ...rest }];
}

/** QueryDocuments of the notes, joined with the collection as `e`. */
export function joined(join: object = {}, rest: object = {}): Ask {
  return (name) => [
    ...(['POST', `${documents(`about-${name}`)}:query`] as const),
    { query: { joins: [{ alias: 'e', from: name, on: 'who', ...join }], ...rest } },
  ];
}

/** Any call on the documents of the collection, such as `:batchGet`. */
export function call(method: string, rest: string, body?: object): Ask {
  return (name) => [method, `${documents(name)}${rest}`, body];
}

/** UpdateDocument of ann. */
export function change(parts: object, rest: object = {}): Ask {
  return call('PATCH', '/ann', { change: parts, ...rest });
}

/** UpdateDocument of ann by one operation. */
export function operation(one: object): Ask {
  return change({ patch: [one] });
}

/** SetDocument of ann. */
export function put(fields: object): Ask {
  return call('PUT', '/ann', { body: { fields } });
}

/** A route of MoltenDB 1.0. */
export function compat(path: string, rest: object): Ask {
  return (name) => ['POST', path, { collection: name, ...rest }];
}

/** An answer without what differs between any two: names, tokens, sequences and times. */
export function comparable({ status, text }: TestResponse): string {
  const varying = /"(\w*(?:Time|Sequence|Token|Id)|uid|sequence|elapsed\w*)": ?("[^"]*"|[\d.]+),?/g;
  return `${String(status)} ${text.replaceAll('workers', 'employees').replaceAll(varying, '')}`;
}
