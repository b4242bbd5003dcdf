import type { Fault } from './faults.ts';
import type { OptionReader } from './load.ts';

const SECRET_BYTES_MIN = 32;

/** What is wrong with the options of `observation-options.ts`. */
export function refuseObservation(read: OptionReader): readonly Fault[] {
  return [...refuseEndpoint(read), ...refuseWebhook(read)];
}

function refuseEndpoint(read: OptionReader): readonly Fault[] {
  const endpoint = read.text('otlp-endpoint');
  if (endpoint === undefined || isHttp(endpoint)) return [];
  return [{ key: read.origin('otlp-endpoint'), problem: 'is no URL of http or https' }];
}

function refuseWebhook(read: OptionReader): readonly Fault[] {
  const url = read.text('alert-webhook-url');
  if (url === undefined) return [];
  const faults = [faultOfUrl(url, read), faultOfSecret(read.text('alert-webhook-secret'))];
  return faults.flatMap((problem, at) => {
    const name = at === 0 ? 'alert-webhook-url' : 'alert-webhook-secret';
    const origin = read.origin(name);
    return problem === undefined ? [] : [{ key: origin, problem }];
  });
}

function faultOfUrl(text: string, read: OptionReader): string | undefined {
  const url = URL.parse(text);
  if (url === null || !isHttp(text)) return 'is no URL of http or https';
  if (url.username !== '' || url.password !== '') {
    return 'holds a user name or a password; messages are signed instead';
  }
  const isOpen = url.protocol === 'https:' || read.switch('alert-webhook-allow-private');
  return isOpen ? undefined : 'is not https; use it, or --alert-webhook-allow-private';
}

function faultOfSecret(secret: string | undefined): string | undefined {
  if (secret === undefined) return 'is missing; --alert-webhook-url needs it';
  if (Buffer.byteLength(secret) >= SECRET_BYTES_MIN) return undefined;
  return `is shorter than ${String(SECRET_BYTES_MIN)} bytes and could be guessed; make a random one`;
}

function isHttp(text: string): boolean {
  return ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '');
}
