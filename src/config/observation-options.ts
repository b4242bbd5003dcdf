import type { Option } from './option.ts';

/** What a server tells of itself, and whom. */
export const OBSERVATION_OPTIONS: readonly Option[] = [
  {
    ...{ name: 'metrics-port', fallback: '0' },
    type: { kind: 'whole', min: 0, max: 65_535, unit: 'port' },
    help: 'The port of a listener of its own for `GET /metrics`, for Prometheus; usually 9464. 0: none.',
  },
  {
    ...{ name: 'metrics-host', type: { kind: 'text' }, fallback: '127.0.0.1' },
    help: 'The address of that listener. It asks for no credential: who reaches it may read it.',
  },
  {
    ...{ name: 'slow-query-ms', fallback: '1000' },
    type: { kind: 'whole', min: 0, max: 3_600_000, unit: 'milliseconds' },
    help: 'Queries that take at least this long are logged, with how they ran and without any value. 0: none.',
  },
  {
    ...{ name: 'otlp-endpoint', type: { kind: 'url', schemes: ['http:', 'https:'] } },
    help: 'The collector that traces of calls are sent to, by OTLP over HTTP: `http://127.0.0.1:4318`. Absent: calls are not traced.',
  },
  {
    ...{ name: 'alert-webhook-url', type: { kind: 'url', schemes: ['https:', 'http:'] } },
    help: 'Who is told of alerts: a URL of https that gets each as signed JSON. Needs --alert-webhook-secret.',
  },
  {
    ...{ name: 'alert-webhook-secret', type: { kind: 'text' }, isSecret: true },
    help: 'Signs what the webhook gets: at least 32 bytes, random.',
  },
  {
    ...{ name: 'alert-webhook-allow-private', type: { kind: 'switch' }, fallback: 'false' },
    help: 'Lets --alert-webhook-url lead to this machine or to a private network, also by http.',
  },
];
