const NEAR = ['127.0.0.1', 'localhost', '::1', '[::1]'];

/** Whether the host of a URL, or an address to listen on, is this machine. */
export function isNear(host: string): boolean {
  return NEAR.includes(host);
}
