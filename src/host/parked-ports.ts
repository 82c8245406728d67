import fs from 'node:fs';
import { holdingSockets, PARKED_AT_MOST, parkDescriptors, type Transport } from './socket.ts';

/**
 * Takes ports that nothing of ours listens on, so that nobody else can: a bound socket each, as nothing less is a
 * reservation to the kernel (ip_local_reserved_ports only keeps ephemeral ports away). They are not in our table of
 * descriptors, whose size is limited, but parked. All or none; the error names the port.
 */
export const parkPorts = (transport: Transport, address: string, first: number, last: number, both: boolean): (() => void) => {
  const parked: number[] = [];
  const free = (): void => {
    for (const fd of parked) fs.closeSync(fd);
  };
  try {
    for (let port = first; port <= last; port += PARKED_AT_MOST) parked.push(parkSome(transport, address, port, Math.min(port + PARKED_AT_MOST - 1, last), both));
    return free;
  } catch (error) {
    free();
    throw error;
  }
};

const parkSome = (transport: Transport, address: string, first: number, last: number, both: boolean): number => {
  const sockets = holdingSockets(transport, address, first, last, both);
  try {
    return parkDescriptors(sockets);
  } finally {
    for (const fd of sockets) fs.closeSync(fd);
  }
};
