// Which addresses a copy may go to: none of the link or of a cloud's metadata service, whatever name resolves to them.
import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

// Link-local: RFC 3927 and RFC 4291. The others are where clouds serve an instance its credentials outside of it:
// Amazon over IPv6, Alibaba, Oracle.
const refused = new BlockList();
refused.addSubnet("169.254.0.0", 16, "ipv4");
refused.addSubnet("fe80::", 10, "ipv6");
refused.addAddress("fd00:ec2::254", "ipv6");
refused.addAddress("100.100.100.200", "ipv4");
refused.addAddress("192.0.0.192", "ipv4");

export class AddressRefused extends Error {
  override name = "AddressRefused";
  constructor(address: string) {
    super(`${address} is an address of the link or of a metadata service; TSDEV_FORWARD_LINK_LOCAL=allow allows it`);
  }
}

/** Throws AddressRefused for a host that is such an address itself: those are not looked up. */
export function checkHost(host: string): void {
  const address = host.replace(/^\[|\]$/g, "");
  if (isIP(address) !== 0) checkAddress(address);
}

/** For a request's `lookup`: the address that is connected to is the one that was checked. */
export const guardedLookup: LookupFunction = (host, options, done) => {
  lookup(host, { ...options, all: true }, (error, found) => {
    if (error) return done(error, []);
    try {
      for (const { address } of found) checkAddress(address);
    } catch (cause) {
      return done(cause as Error, []);
    }
    const [first] = found;
    if (options.all === true) return done(null, found);
    done(null, first?.address ?? "", first?.family);
  });
};

function checkAddress(address: string): void {
  if (refused.check(address, isIP(address) === 6 ? "ipv6" : "ipv4")) throw new AddressRefused(address);
}
