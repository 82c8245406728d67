import { invalid } from '../model/errors.ts';

/** What a container may do unless told otherwise. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** In the kernel's order: a capability's number is its place. */
export const ALL_CAPABILITIES: readonly string[] = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW
  IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
  MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

const ALL = 'ALL';

/** The capabilities a mask has (`CapBnd` of /proc/self/status): those that can be given away. */
export const capabilitiesOfMask = (hexadecimal: string): string[] => {
  const mask = BigInt(`0x${hexadecimal}`);
  return ALL_CAPABILITIES.filter((_, number) => (mask >> BigInt(number)) & 1n);
};

/** `--privileged`, `--cap-add` and `--cap-drop` together. `available`: what the daemon itself has. */
export const resolveCapabilities = (
  { privileged, capAdd, capDrop }: { readonly privileged: boolean; readonly capAdd: readonly string[]; readonly capDrop: readonly string[] },
  available: readonly string[] = ALL_CAPABILITIES,
): readonly string[] => {
  if (privileged) return available;
  const added = normalize('CapAdd', capAdd, available);
  const dropped = normalize('CapDrop', capDrop, available);
  if (added.includes(ALL)) return available.filter((name) => !dropped.includes(name));
  if (dropped.includes(ALL)) return added;
  return [...new Set([...DEFAULT_CAPABILITIES.filter((name) => available.includes(name) && !dropped.includes(name)), ...added])];
};

/** Throws in the reference's words when a name is not a capability, or is not one the daemon has to give. */
export const checkCapabilities = (
  asked: { readonly capAdd: readonly string[]; readonly capDrop: readonly string[] },
  available: readonly string[] = ALL_CAPABILITIES,
): void => {
  normalize('CapAdd', asked.capAdd, available);
  normalize('CapDrop', asked.capDrop, available);
};

const normalize = (field: 'CapAdd' | 'CapDrop', names: readonly string[], available: readonly string[]): string[] =>
  names.map((raw) => {
    const upper = raw.toUpperCase();
    if (upper === ALL) return ALL;
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!ALL_CAPABILITIES.includes(name)) throw invalid(`invalid ${field}: unknown capability: ${JSON.stringify(name)}`);
    if (!available.includes(name))
      throw invalid(`invalid ${field}: capability not supported by your kernel or not available in the current environment: ${JSON.stringify(name)}`);
    return name;
  });
