import fs from 'node:fs';
import type { Family } from '../model/network.ts';
import { run, type Child } from './command.ts';
import { linkIn, routeIn, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_NEWLINK, type LinkState } from './host-links.ts';
import { legacyFingerprint } from './legacy-tables.ts';
import { attributesOf, newsSocket, SIGNAL, textIn, type NetlinkMessage, type NewsSocket } from './netlink-socket.ts';
import { libc } from './syscalls.ts';

/** What others have done to the network of the daemon's host since the last news. */
export type News = {
  /** Whose rules somebody else has touched, where berth has some too. */
  readonly families: ReadonlySet<Family>;
  /** Devices as they were heard of last; undefined: gone. Ours are among them. */
  readonly links: ReadonlyMap<string, LinkState | undefined>;
  /** Devices that have lost an address or a route. */
  readonly bare: ReadonlySet<string>;
  /** More came than could be kept: anything may have happened. */
  readonly lost: boolean;
};

export type Watch = {
  /** What this program does to the rules is no news. */
  began(tool: Child): void;
  /** `families`: whose rules to watch. */
  start(families: readonly Family[], told: (news: News) => void): void;
};

/**
 * Listens to what the kernel itself tells of changes (nfnetlink's NFTABLES group, rtnetlink's groups): a signal comes when there is
 * something, and when there is nothing, nothing is done. Tables of iptables-legacy are looked at, for want of such news.
 */
export const createWatch = (concerns: (family: Family, table: string, chain: string) => boolean): Watch => {
  const own = new Set<number>();
  let drain = (): void => {};
  return {
    began(tool) {
      const { pid, ended } = tool;
      own.add(pid);
      // All that it did has been told by then.
      void ended.then(() => {
        drain();
        own.delete(pid);
      });
    },
    start(families, told) {
      const rules = families.length > 0 ? newsSocket(NETLINK_NETFILTER, [NFNLGRP_NFTABLES]) : undefined;
      const links = newsSocket(NETLINK_ROUTE, [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE]);
      const readRules = createRuleReader(families, own, concerns);
      drain = () => {
        const heard = { families: new Set<Family>(), links: new Map<string, LinkState | undefined>(), bare: new Set<string>(), lost: false };
        if (!take(rules, (message) => readRules(message, heard.families))) {
          heard.lost = true;
          for (const family of families) heard.families.add(family);
        }
        if (!take(links, (message) => readLink(message, heard))) heard.lost = true;
        if (heard.lost || heard.families.size + heard.links.size + heard.bare.size > 0) told(heard);
      };
      let due: NodeJS.Timeout | undefined;
      process.on(SIGNAL, () => {
        due ??= setTimeout(() => {
          due = undefined;
          drain();
        }, PAUSE_MS).unref();
      });
      if (families.length > 0) void isLegacy().then((legacy) => legacy && lookAtTables(families, told));
    },
  };
};

/** Changes seldom come alone, and a container's start makes many: they are read together. */
const PAUSE_MS = 50;
const LEGACY_MS = 1000;

const [NETLINK_ROUTE, NETLINK_NETFILTER, NFNLGRP_NFTABLES] = [0, 12, 7];
const [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE] = [1, 5, 7, 9, 11];
const [NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE, NFT_MSG_DELRULE, NFT_MSG_NEWGEN] = [2, 5, 6, 8, 15];
const [NFT_MSG_DELSET, NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM] = [11, 12, 14];
const [TABLE_NAME, CHAIN_NAME, RULE_CHAIN, GENERATION_PID] = [1, 3, 2, 2];
const FAMILY_OF: Readonly<Record<number, Family>> = { 2: 'ipv4', 10: 'ipv6' };

const take = (socket: NewsSocket | undefined, each: (message: NetlinkMessage) => void): boolean => socket === undefined || socket.drain(each);

/** A transaction is told message by message, and at its end who made it. Chains that are none of our business are passed over. */
const createRuleReader = (families: readonly Family[], own: ReadonlySet<number>, concerns: (family: Family, table: string, chain: string) => boolean) => {
  const touched = new Set<Family>();
  return ({ type, body }: NetlinkMessage, found: Set<Family>): void => {
    const what = type & 0xff;
    if (what === NFT_MSG_NEWGEN) {
      const by = attributesOf(body, 4).get(GENERATION_PID)?.readUInt32BE(0) ?? 0;
      if (!sameNumbers || !(own.has(by) || isThread(by))) for (const family of touched) found.add(family);
      touched.clear();
      return;
    }
    const family = FAMILY_OF[body.readUInt8(0)];
    if (family === undefined || !families.includes(family) || touched.has(family)) return;
    const attributes = attributesOf(body, 4);
    if ((what === NFT_MSG_NEWSETELEM || what === NFT_MSG_DELSETELEM || what === NFT_MSG_DELSET) && concerns(family, textIn(attributes.get(TABLE_NAME)), '')) touched.add(family);
    if (what !== NFT_MSG_DELTABLE && what !== NFT_MSG_DELCHAIN && what !== NFT_MSG_NEWRULE && what !== NFT_MSG_DELRULE) return;
    const chain = textIn(attributes.get(what === NFT_MSG_DELCHAIN ? CHAIN_NAME : RULE_CHAIN));
    if (what === NFT_MSG_DELTABLE || concerns(family, textIn(attributes.get(TABLE_NAME)), chain)) touched.add(family);
  };
};

/** It tells by the numbers of the machine's first process namespace; in another, they may be anybody's here. */
const sameNumbers = fs.readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]';

/** What this process does itself, it does on threads of its own; the kernel tells which. */
const isThread = (id: number): boolean => fs.existsSync(`/proc/self/task/${id}`);

const readLink = ({ type, body }: NetlinkMessage, heard: { readonly links: Map<string, LinkState | undefined>; readonly bare: Set<string> }): void => {
  if (type === RTM_NEWLINK || type === RTM_DELLINK) {
    // A bridge tells of its ports in messages of its own family.
    if (body.readUInt8(0) !== 0) return;
    const { name, up, master } = linkIn(body);
    heard.links.set(name, type === RTM_DELLINK ? undefined : { up, master: master === 0 ? undefined : nameOf(master) });
  } else if (type === RTM_DELADDR) heard.bare.add(nameOf(body.readUInt32LE(4)));
  else if (type === RTM_DELROUTE) {
    const route = routeIn(body);
    if (route) heard.bare.add(nameOf(route.index));
  }
};

const indexToName = libc.func('void *if_indextoname(uint index, _Out_ uint8_t *name)');

/** '' when it is gone. */
const nameOf = (index: number): string => {
  const name = Buffer.alloc(16);
  return indexToName(index, name) === null ? '' : textIn(name);
};

const isLegacy = async (): Promise<boolean> => {
  try {
    return !(await run(['iptables-restore', '--version'])).stdout.includes('nf_tables');
  } catch {
    return false;
  }
};

const lookAtTables = (families: readonly Family[], told: (news: News) => void): void => {
  const last = new Map(families.map((family) => [family, legacyFingerprint(family)]));
  setInterval(() => {
    const changed = families.filter((family) => {
      const now = legacyFingerprint(family);
      const before = last.get(family);
      last.set(family, now);
      return now !== before;
    });
    if (changed.length > 0) told({ families: new Set(changed), links: new Map(), bare: new Set(), lost: false });
  }, LEGACY_MS).unref();
};
