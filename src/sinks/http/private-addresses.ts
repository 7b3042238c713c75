// A guard against requests into private networks: it looks at the address that is connected to, not at a name.
// https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

// https://www.iana.org/assignments/iana-ipv4-special-registry/
const PRIVATE_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

// Of the one range from which global unicast is given out, what is not: protocol assignments with Teredo, documentation.
// https://www.iana.org/assignments/iana-ipv6-special-registry/
const GLOBAL_IPV6: readonly [string, number] = ['2000::', 3];
const PRIVATE_IN_GLOBAL_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['3fff::', 20],
];

const privateIpv4 = new BlockList();
for (const [network, prefix] of PRIVATE_IPV4) privateIpv4.addSubnet(network, prefix, 'ipv4');
const globalIpv6 = new BlockList();
globalIpv6.addSubnet(...GLOBAL_IPV6, 'ipv6');
const privateIpv6 = new BlockList();
for (const [network, prefix] of PRIVATE_IN_GLOBAL_IPV6) privateIpv6.addSubnet(network, prefix, 'ipv6');

export const PRIVATE_ADDRESS = 'PRIVATE_ADDRESS';

/** Anything but a public unicast address, also where an IPv6 address only wraps an IPv4 one. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return privateIpv4.check(address, 'ipv4');
  if (family !== 6) return true;
  const groups = groupsOf(address);
  const wrapped = wrappedIpv4(groups);
  if (wrapped !== undefined) return privateIpv4.check(wrapped, 'ipv4');
  return !globalIpv6.check(address, 'ipv6') || privateIpv6.check(address, 'ipv6');
}

/** The IPv4 address that IPv4-mapped, NAT64 (64:ff9b::/96) and 6to4 (2002::/16) addresses lead to. */
function wrappedIpv4(groups: readonly number[]): string | undefined {
  const startsWith = (...prefix: readonly number[]): boolean =>
    prefix.every((group, index) => groups[index] === group);
  if (startsWith(0, 0, 0, 0, 0, 0xffff) || startsWith(0x64, 0xff9b, 0, 0, 0, 0)) {
    return dotted(groups[6]!, groups[7]!);
  }
  return startsWith(0x2002) ? dotted(groups[1]!, groups[2]!) : undefined;
}

const dotted = (high: number, low: number): string =>
  [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');

/** The eight groups of an IPv6 address; a zone is left out. */
function groupsOf(address: string): readonly number[] {
  // The URL parser writes every spelling in one way: hexadecimal groups, one "::" at most.
  const { hostname } = new URL(`http://[${address.replace(/%.*$/, '')}]`);
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [parse(head), parse(tail ?? '')];
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/** `dns.lookup` without the private addresses; an error when nothing is left. Connecting uses this very answer. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    const found = error === null ? addresses.filter(({ address }) => !isPrivateAddress(address)) : [];
    const [first] = found;
    if (first === undefined) return callback(error ?? privateAddressError(hostname), '', 0);
    if (options.all === true) return (callback as unknown as AllCallback)(null, found);
    callback(null, first.address, first.family);
  });
};
type AllCallback = (error: null, addresses: readonly LookupAddress[]) => void;

export const privateAddressError = (host: string): Error & { code: string } =>
  Object.assign(new Error(`${host} has no public address`), { code: PRIVATE_ADDRESS });
