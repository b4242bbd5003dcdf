import type { Option } from './option.ts';

const CALLS_MAX = 1_000_000_000;
const calls = { kind: 'whole', min: 0, max: CALLS_MAX, unit: 'calls' } as const;
const seconds = (max: number): Option['type'] => ({ kind: 'whole', min: 1, max, unit: 'seconds' });

/** How much may be asked, and of what comes in how much is taken. */
export const EDGE_OPTIONS: readonly Option[] = [
  {
    ...{ name: 'rate-limit-requests', type: calls, fallback: '0', reloads: true },
    formerName: 'rate-limit-reqs',
    help: 'Requests of one address per window, by every protocol together and whoever calls; 0: no bound. An address is an IPv4 address or an IPv6 /64.',
  },
  {
    ...{ name: 'rate-limit-window', type: seconds(86_400), fallback: '60', reloads: true },
    help: 'The window of all limits of calls. It slides.',
  },
  {
    ...{ name: 'rate-limit-burst', type: calls, fallback: '0', reloads: true },
    help: 'How many of --rate-limit-requests at once; they come back evenly over the window. 0: all of them.',
  },
  {
    ...{ name: 'rate-limit-anonymous', type: calls, fallback: '6000', reloads: true },
    help: 'Calls of one address per window that show no valid credential; 0: no bound. Calls with one are not counted.',
  },
  {
    ...{ name: 'rate-limit-logins', type: calls, fallback: '300', reloads: true },
    help: 'Attempts of one address per window to sign in, whether or not they succeed; 0: no bound. Waits after wrong passwords come on top.',
  },
  {
    ...{ name: 'rate-limit-verifications', type: calls, fallback: '6000', reloads: true },
    help: 'Calls of one address per window that have a token verified, exchanged or revoked that they hold in their body; 0: no bound.',
  },
  {
    ...{ name: 'rate-limit-principal', type: calls, fallback: '0', reloads: true },
    help: 'Calls of one user or client per window, with all its tokens together and from wherever; 0: no bound.',
  },
  {
    ...{ name: 'ban-after', fallback: '1000', reloads: true },
    type: { kind: 'whole', min: 0, max: CALLS_MAX, unit: 'refusals' },
    help: 'Refusals of one address per window, for its rate or for wrong credentials, after which it is banned; 0: never. This machine and --trusted-proxy never are.',
  },
  {
    ...{ name: 'ban-duration', type: seconds(86_400), fallback: '60', reloads: true },
    help: 'How long a first ban lasts; each further one within a day lasts twice as long, up to a day.',
  },
  {
    ...{ name: 'max-connections', fallback: '10000' },
    type: { kind: 'whole', min: 16, max: 1_000_000, unit: 'connections' },
    help: 'Open connections; those beyond are closed at once, but for 16 more from this machine, where proxies are named in --trusted-proxy.',
  },
  {
    ...{ name: 'max-connections-per-address', fallback: '1000' },
    type: { kind: 'whole', min: 1, max: 1_000_000, unit: 'connections' },
    help: 'The same of one address; a --trusted-proxy may have all.',
  },
  {
    ...{ name: 'max-streams-per-connection', fallback: '256' },
    type: { kind: 'whole', min: 1, max: 65_536, unit: 'streams' },
    help: 'Calls that run at once on one connection of HTTP/2.',
  },
  {
    ...{ name: 'max-buffered-size', fallback: '268435456' },
    type: { kind: 'whole', min: 33_554_432, max: 1_099_511_627_776, unit: 'bytes' },
    help: 'What is kept of bodies that are not complete and of answers that nobody has taken, of all connections; beyond it whoever has most is cut off.',
  },
  {
    ...{ name: 'max-header-size', fallback: '32768' },
    type: { kind: 'whole', min: 8192, max: 65_536, unit: 'bytes' },
    help: 'The headers of a request; more is refused with 431. Tokens of many scopes need room.',
  },
  {
    ...{ name: 'max-url-length', fallback: '8192' },
    type: { kind: 'whole', min: 1024, max: 32_768, unit: 'characters' },
    help: 'The longest URL; a longer one is refused with 414.',
  },
  {
    ...{ name: 'headers-timeout', type: seconds(3600), fallback: '10' },
    help: 'How long a connection may take for the headers of a request, or for its TLS handshake.',
  },
  {
    ...{ name: 'request-timeout', type: seconds(86_400), fallback: '120' },
    help: 'How long a whole request may take to arrive, however steadily it drips.',
  },
  {
    ...{ name: 'idle-timeout', type: seconds(86_400), fallback: '72' },
    help: 'How long a connection may stay without a request, or without taking any of its answer. Longer than that of a load balancer in front.',
  },
];
