import fs from 'node:fs';

/**
 * Sets one of the kernel's own settings, of the network namespace this thread is in. Synchronously: another thread is in
 * another namespace. A kernel without IPv6 has no settings for it, and nothing to switch off.
 */
export const writeSysctl = (key: string, value: string): undefined => {
  try {
    fs.writeFileSync(`/proc/sys/${key.split('.').slice(0, 3).join('/')}/${key.split('.').slice(3, -1).join('.')}/${key.split('.').at(-1)}`, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || fs.existsSync('/proc/sys/net/ipv6')) throw error;
  }
  return undefined;
};
