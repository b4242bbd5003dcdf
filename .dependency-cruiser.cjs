/**
 * Which room may import which: the table of CONTRIBUTING.md as rules over the whole import graph.
 *
 * A room names what it may reach; everything else is an error. Type-only imports count, because a type
 * couples two rooms as much as a value does.
 */

/** Folders of the domain; each may import those before it. */
const DOMAIN_ORDER = [
  'access',
  'query',
  'audit',
  'visibility',
  'quota',
  'collections',
  'documents',
  'watch',
  'snapshots',
  'node',
];

/** The port: the interface of storage and the query model that every engine and the domain share. */
const PORT = '^src/storage/((engine|observer|types|codec)\\.ts$|query/)';

/** What engines whose log is their store share. */
const COMMIT = '^src/storage/commit/';

/** How a store goes from one engine to another. */
const TRANSFER = '^src/storage/transfer/';

/** Room → what it may import besides itself, npm packages and Node. */
const ROOMS = [
  { name: 'errors', path: '^src/errors/', may: [] },
  { name: 'platform', path: '^src/platform/', may: ['^src/errors/'] },
  { name: 'config', path: '^src/config/', may: ['^src/errors/', '^src/platform/'] },
  { name: 'storage-port', path: PORT, may: ['^src/errors/', '^src/platform/'] },
  { name: 'storage-commit', path: COMMIT, may: [PORT, '^src/errors/', '^src/platform/'] },
  {
    name: 'storage-transfer',
    path: TRANSFER,
    may: [PORT, '^src/storage/commit/rows[.]ts$', '^src/errors/', '^src/platform/'],
  },
  {
    name: 'storage-embedded',
    path: '^src/storage/embedded/',
    may: [PORT, COMMIT, TRANSFER, '^src/errors/', '^src/platform/'],
  },
  {
    name: 'storage-postgres',
    path: '^src/storage/postgres/',
    may: [PORT, COMMIT, TRANSFER, '^src/errors/', '^src/platform/'],
  },
  {
    name: 'identity',
    path: '^src/identity/',
    may: ['^src/domain/access/', '^src/errors/', '^src/platform/'],
  },
  // Which folder of the domain may import which is a rule of its own, below.
  { name: 'domain', path: '^src/domain/', may: [PORT, '^src/errors/', '^src/platform/'] },
  {
    name: 'protocol',
    path: '^src/protocol/',
    may: ['^src/domain/', '^gen/', '^src/platform/', '^src/errors/'],
  },
  { name: 'client', path: '^src/client/', may: ['^gen/', '^src/errors/'] },
  { name: 'server', path: '^src/server/', may: ['^src/', '^gen/'] },
  { name: 'gen', path: '^gen/', may: [] },
  // The commands that run a server or open its store in this process.
  {
    name: 'cli-offline',
    path: '^cli/commands/(serve|migrate|recover|verify|activate|upgrade|encryption/(rotate-offline|change-password))([./]|$)',
    may: ['^cli/', '^src/client/', '^src/config/', '^src/server/', '^gen/'],
  },
  {
    name: 'cli',
    path: '^cli/',
    pathNot:
      '^cli/commands/(serve|migrate|recover|verify|activate|upgrade|encryption/(rotate-offline|change-password))([./]|$)',
    may: ['^src/client/', '^src/config/', '^gen/'],
  },
  { name: 'console', path: '^console/', may: ['^gen/', '^src/client/'] },
];

/** npm packages and the only folders that may import them. */
const FENCES = [
  { name: 'fastify', packages: '(fastify|@fastify)/', only: '^src/(protocol/http|server)/' },
  { name: 'connect', packages: '@connectrpc/', only: '^src/(protocol|client|server)/' },
  { name: 'pg', packages: 'pg[-/]', only: '^src/storage/postgres/' },
  { name: 'sqlite', packages: 'better-sqlite3', only: '^src/storage/embedded/' },
  { name: 'oclif', packages: '(@oclif|@inquirer)/', only: '^cli/' },
  { name: 'pino', packages: 'pino/', only: '^src/platform/' },
  { name: 'jose', packages: 'jose/', only: '^src/domain/access/' },
  { name: 'identity', packages: '(openid-client|ldapts)/', only: '^src/identity/' },
  { name: 'ws', packages: 'ws/', only: '^src/(protocol/websocket|client)/' },
  {
    name: 'protobuf',
    packages: '@bufbuild/',
    only: '^(gen|src/(protocol|client|server)|cli|console)/',
  },
];

/** Everything of ours that can be imported. */
const OURS = '^(src|gen|cli|console|test)/';
const SOURCES = '^(src|gen|cli|console)/';

module.exports = {
  forbidden: [
    ...ROOMS.map(({ name, path, pathNot, may }) => ({
      name: `room-${name}`,
      severity: 'error',
      from: pathNot === undefined ? { path } : { path, pathNot },
      to: { path: OURS, pathNot: [path, ...may] },
    })),
    ...DOMAIN_ORDER.map((folder, index) => ({
      name: `domain-${folder}`,
      severity: 'error',
      from: { path: `^src/domain/${folder}/` },
      to: {
        path: '^src/domain/[^/]+/',
        pathNot: `^src/domain/(${DOMAIN_ORDER.slice(0, index + 1).join('|')})/`,
      },
    })),
    {
      name: 'identity-types',
      comment:
        'Whom a provider vouches for may be said in the words of access; nothing of it runs there.',
      severity: 'error',
      from: { path: '^src/identity/' },
      to: { path: '^src/domain/', dependencyTypesNot: ['type-only'] },
    },
    ...FENCES.map(({ name, packages, only }) => ({
      name: `fence-${name}`,
      severity: 'error',
      from: { path: SOURCES, pathNot: only },
      to: { path: `node_modules/${packages}`, pathNot: OURS },
    })),
    {
      name: 'known-room',
      comment: 'A new folder below src needs a row in ROOMS, or nothing guards it.',
      severity: 'error',
      from: { path: '^src/', pathNot: ROOMS.map(({ path }) => path) },
      to: {},
    },
    {
      name: 'no-cycle',
      comment: 'Types may know each other; modules that run may not.',
      severity: 'error',
      from: { path: SOURCES },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: { path: OURS },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-dev-package',
      comment: 'A shipped file may only use what is installed beside it.',
      severity: 'error',
      from: { path: SOURCES, pathNot: '^console/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
        // The application's own, and for development here.
        pathNot: '^node_modules/react/',
      },
    },
    {
      name: 'no-test',
      severity: 'error',
      from: { path: SOURCES },
      to: { path: '^test/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage|data)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.js', '.mjs', '.json'],
    },
  },
};
