import { systemError } from '../model/errors.ts';
import { parseSeccompProfile } from './seccomp.ts';
import type { SeccompProfile } from './seccomp.ts';

/** What `--security-opt` asks for. Labels and AppArmor profiles are taken and have no effect: neither is there on a host without them. */
export type SecurityOptions = {
  readonly noNewPrivileges: boolean;
  /** Cgroups the container may write to. */
  readonly writableCgroups: boolean;
  readonly seccomp: 'default' | 'unconfined' | SeccompProfile;
};

/** Throws in the reference's words for options nobody knows. A seccomp profile's own text is read later, at start. */
export const parseSecurityOptions = (
  options: readonly string[],
): { readonly noNewPrivileges: boolean; readonly writableCgroups: boolean; readonly seccomp: string } => {
  let noNewPrivileges = false;
  let writableCgroups = false;
  let seccomp = '';
  for (const option of options) {
    if (option === 'no-new-privileges') noNewPrivileges = true;
    if (option === 'no-new-privileges' || option === 'disable') continue;
    const separator = option.includes('=') ? '=' : ':';
    const at = option.indexOf(separator);
    if (at < 0) throw systemError(`invalid --security-opt 1: ${JSON.stringify(option)}`);
    const value = option.slice(at + 1);
    switch (option.slice(0, at)) {
      case 'label':
      case 'apparmor':
        break;
      case 'seccomp':
        seccomp = value;
        break;
      case 'no-new-privileges':
        noNewPrivileges = booleanOf(value, option);
        break;
      case 'writable-cgroups':
        writableCgroups = booleanOf(value, option);
        break;
      default:
        throw unknownOption(option);
    }
  }
  return { noNewPrivileges, writableCgroups, seccomp };
};

export const securityOptions = (options: readonly string[]): SecurityOptions => {
  const { seccomp, ...rest } = parseSecurityOptions(options);
  return { ...rest, seccomp: seccomp === '' || seccomp === 'builtin' ? 'default' : seccomp === 'unconfined' ? 'unconfined' : parseSeccompProfile(seccomp) };
};

const unknownOption = (option: string): Error => systemError(`invalid --security-opt 2: ${JSON.stringify(option)}`);

const booleanOf = (text: string, option: string): boolean => {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw unknownOption(option);
};
