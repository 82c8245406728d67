// What `nft flush ruleset` sends to the kernel, for machines without nft. As a program, in the network namespace it is run in.

import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const send = libc.func('long send(int fd, const void *data, ulong length, int flags)');

const [AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, NLM_F_REQUEST, NFTABLES] = [16, 3, 12, 1, 10];
const [BATCH_BEGIN, BATCH_END, DELTABLE] = [16, 17, (NFTABLES << 8) | 2];

/** struct nlmsghdr and struct nfgenmsg */
function message(type: number, resource: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST, 6);
  bytes.writeUInt16BE(resource, 18);
  return bytes;
}

// A table without a name is every table.
const batch = Buffer.concat([message(BATCH_BEGIN, NFTABLES), message(DELTABLE, 0), message(BATCH_END, NFTABLES)]);
if (Number(send(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), batch, batch.length, 0)) !== batch.length) throw new Error('the kernel did not take it');
