import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import type { Dispatcher } from '../dispatcher.ts';
import type { Door } from '../http/door.ts';
import { describeApi } from './document.ts';

/** What the door needs. */
export interface OpenApiDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly release: string;
}

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>MoltenDB API</title>
  </head>
  <body>
    <script id="api-reference" data-url="/openapi.json"></script>
    <script src="/docs/reference.js"></script>
  </body>
</html>
`;

/** Everything comes from this server; the page styles itself inline. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves `/openapi.json` and, at `/docs`, a page that shows it; nothing is fetched from elsewhere. */
export function createOpenApiDoor({ dispatcher, release }: OpenApiDoorOptions): Door {
  return (app) => {
    const text = JSON.stringify(describeApi(dispatcher.services, release));
    const tag = tagOf(text);
    let script: Promise<Buffer> | undefined;
    app.get('/openapi.json', { exposeHeadRoute: true }, async (request, reply) => {
      reply.header('etag', tag).header('cache-control', 'no-cache');
      if (request.headers['if-none-match'] === tag) return await reply.code(304).send();
      return await reply.type('application/json; charset=utf-8').send(text);
    });
    app.get('/docs', { exposeHeadRoute: true }, async (_request, reply) => {
      reply.header('content-security-policy', POLICY);
      return await reply.type('text/html; charset=utf-8').send(PAGE);
    });
    app.get('/docs/reference.js', { exposeHeadRoute: true }, async (_request, reply) => {
      // One copy, however many ask for it and do not read it.
      script ??= readFile(findScript()).catch((error: unknown) => {
        script = undefined;
        throw error;
      });
      reply.header('cache-control', 'public, max-age=86400');
      return await reply.type('text/javascript; charset=utf-8').send(await script);
    });
  };
}

/** What the build has put into `dist`, seen from there or from the sources. */
function findScript(): URL {
  const [built, beside] = ['../../../', '../../../dist/'].map(
    (root) => new URL(`${root}api-reference/standalone.js`, import.meta.url),
  ) as [URL, URL];
  return existsSync(built) ? built : beside;
}

function tagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
}
