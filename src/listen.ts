import fs from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import path from 'node:path';

/** The group that may use the socket where nobody named one, if the machine has it. */
const DEFAULT_GROUP = 'docker';

/**
 * The socket is never more open than it should be, not even for a moment: it gets its name with its mode. One that a daemon
 * left behind is taken over; what is not a socket, or has somebody behind it, is left alone.
 */
export const listen = async (server: http.Server, socket: string, group: string | undefined): Promise<void> => {
  const gid = groupId(group ?? DEFAULT_GROUP);
  if (group !== undefined && gid === undefined) throw new Error(`group ${group} not found`);
  fs.mkdirSync(path.dirname(socket), { recursive: true });
  const there = fs.lstatSync(socket, { throwIfNoEntry: false });
  if (there && !there.isSocket()) throw new Error(`${socket} is there, and is no socket`);
  if (there && (await answers(socket))) throw new Error(`${socket}: another daemon answers there`);
  fs.rmSync(socket, { force: true });
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: socket, backlog: 4096 }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } finally {
    process.umask(umask);
  }
  if (gid !== undefined) fs.chownSync(socket, 0, gid);
  fs.chmodSync(socket, 0o660);
};

const answers = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    // Only a refusal means that nobody is there: its queue may be full.
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
  });

const groupId = (group: string): number | undefined => {
  if (/^\d+$/.test(group)) return Number(group);
  const line = fs.readFileSync('/etc/group', 'utf8').split('\n').find((entry) => entry.startsWith(`${group}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
};
