#!/usr/bin/env node
/**
 * Ends with 0 when the server on this machine is ready, with 1 otherwise. MOLTEN_URL names it, MOLTEN_CLIENT_CERT and
 * MOLTEN_CLIENT_KEY the files of a certificate for a server that asks for one. That of the server is not verified: it is for the
 * name that others use, and the connection stays in here.
 */
import { readFileSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const TIMEOUT_MS = 4000;

const url = new URL('/v1/health', process.env.MOLTEN_URL ?? 'http://127.0.0.1:1538');
const get = url.protocol === 'https:' ? getHttps : getHttp;
const { MOLTEN_CLIENT_CERT: cert, MOLTEN_CLIENT_KEY: key } = process.env;
const shown = cert && key ? { cert: readFileSync(cert), key: readFileSync(key) } : {};
process.exitCode = 1;

get(url, { ...shown, timeout: TIMEOUT_MS, rejectUnauthorized: false }, (response) => {
  let text = '';
  response.setEncoding('utf8').on('data', (part) => (text += part));
  response.on('end', () => {
    if (response.statusCode === 200 && text.includes('SERVING_STATE_READY')) process.exitCode = 0;
    else process.stderr.write(`${response.statusCode} ${text}\n`);
  });
})
  .on('timeout', function () {
    this.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`));
  })
  .on('error', (error) => process.stderr.write(`${error.message}\n`));
