import fs from 'node:fs';
import { holdingSocket, PARKED_AT_MOST, parkDescriptors } from './socket.ts';

/**
 * Takes TCP ports that nothing of ours listens on, so that nobody else can: a bound socket each, as nothing less is a
 * reservation to the kernel (ip_local_reserved_ports only keeps ephemeral ports away). They are not in our table of
 * descriptors, whose size is limited, but parked. All or none; the error names the port.
 */
export const parkPorts = (address: string, first: number, last: number): (() => void) => {
  const parked: number[] = [];
  const free = (): void => {
    for (const fd of parked) fs.closeSync(fd);
  };
  try {
    for (let port = first; port <= last; port += PARKED_AT_MOST) parked.push(parkSome(address, port, Math.min(port + PARKED_AT_MOST - 1, last)));
    return free;
  } catch (error) {
    free();
    throw error;
  }
};

const parkSome = (address: string, first: number, last: number): number => {
  const sockets: number[] = [];
  try {
    for (let port = first; port <= last; port++) sockets.push(holdingSocket(address, port));
    return parkDescriptors(sockets);
  } finally {
    for (const fd of sockets) fs.closeSync(fd);
  }
};
