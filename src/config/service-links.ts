/**
 * Variables that Kubernetes puts into every pod for each Service of its namespace. Those of a Service named
 * `moltendb` look like options: `MOLTENDB_PORT=tcp://10.0.0.1:8080`.
 */
import { VARIABLE_PREFIX } from './options.ts';
import type { Variables } from './values.ts';

/** Variables without those of Services, and what to say of them. */
export interface WithoutLinks {
  readonly variables: Variables;
  readonly warnings: readonly string[];
}

const HOST = '_SERVICE_HOST';
/** What stands behind the name of a Service. */
const FORM =
  /^_(SERVICE_HOST|SERVICE_PORT(_[A-Z\d_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)$/;
const ADDRESS = /^(tcp|udp|sctp):\/\//;

/**
 * Leaves out the variables of Services whose names begin as variables of options do. They come all together:
 * nothing is left out without `…_SERVICE_HOST`, nor a `…_PORT` that is no address.
 */
export function withoutServiceLinks(variables: Variables): WithoutLinks {
  const services = Object.keys(variables)
    .filter((name) => name.startsWith(VARIABLE_PREFIX) && name.endsWith(HOST))
    .map((name) => name.slice(0, -HOST.length));
  const isLink = (name: string, value = ''): boolean =>
    services.some((service) => {
      const form = name.startsWith(service) ? name.slice(service.length) : '';
      return FORM.test(form) || (form === '_PORT' && ADDRESS.test(value));
    });
  const links = Object.keys(variables).filter((name) => isLink(name, variables[name]));
  const others = Object.entries(variables).filter(([name]) => !links.includes(name));
  return {
    variables: Object.fromEntries(others),
    warnings: links.length === 0 ? [] : [warningOf(links)],
  };
}

function warningOf(names: readonly string[]): string {
  return `${names.join(', ')} are of a Service of Kubernetes, and left alone; set enableServiceLinks: false in the pod, or name the Service otherwise`;
}
