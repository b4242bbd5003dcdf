import { isIPv4 } from 'node:net';

/** Reports whether a host of a URL is this machine, so that what is sent to it crosses no network. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === 'localhost' || name === '[::1]' || name === '::1') return true;
  return isIPv4(name) && name.startsWith('127.');
}
