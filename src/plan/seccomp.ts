import { systemError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';

/** A profile as people write them (`--security-opt seccomp=FILE`): rules with the conditions under which they hold. */
export type SeccompProfile = {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  /** Architectures by the machine's own; not together with `architectures`. */
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly SeccompRule[];
};

export type SeccompRule = {
  readonly name?: string;
  readonly names?: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[] | null;
  readonly includes?: SeccompCondition | null;
  readonly excludes?: SeccompCondition | null;
};

export type SeccompArgument = { readonly index: number; readonly value: number; readonly valueTwo?: number; readonly op: string };
export type SeccompCondition = { readonly caps?: readonly string[]; readonly arches?: readonly string[]; readonly minKernel?: string };

export type Arch = 'amd64' | 'arm64';
export type KernelVersion = readonly [major: number, minor: number];

const NATIVE: Readonly<Record<Arch, string>> = { amd64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' };

/** What a runtime is given: the rules that hold here, with these capabilities. */
export const resolveSeccomp = (
  profile: SeccompProfile,
  { capabilities, arch, kernel }: { readonly capabilities: readonly string[]; readonly arch: Arch; readonly kernel: KernelVersion },
): JsonObject | undefined => {
  const { defaultAction = '', syscalls = [], architectures = [], archMap = [], defaultErrnoRet, flags = [], listenerPath, listenerMetadata } = profile;
  if (defaultAction === '' && syscalls.length === 0) return undefined;
  if (architectures.length > 0 && archMap.length > 0)
    throw systemError("both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'");

  const meets = (condition: SeccompCondition): boolean =>
    (condition.arches ?? []).length === 0 || (condition.arches ?? []).includes(arch);
  const included = ({ includes }: SeccompRule): boolean =>
    !includes ||
    (meets(includes) && (includes.caps ?? []).every((name) => capabilities.includes(name)) && atLeast(kernel, includes.minKernel));
  const excluded = ({ excludes }: SeccompRule): boolean =>
    !!excludes &&
    ((excludes.arches ?? []).includes(arch) ||
      (excludes.caps ?? []).some((name) => capabilities.includes(name)) ||
      (!!excludes.minKernel && atLeast(kernel, excludes.minKernel)));

  const mapped = archMap.find(({ architecture }) => architecture === NATIVE[arch]);
  const machine = mapped ? [mapped.architecture, ...(mapped.subArchitectures ?? [])] : architectures;
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    ...(machine.length > 0 ? { architectures: machine } : {}),
    ...(flags.length > 0 ? { flags } : {}),
    ...(listenerPath ? { listenerPath } : {}),
    ...(listenerMetadata ? { listenerMetadata } : {}),
    syscalls: syscalls.filter((rule) => included(rule) && !excluded(rule)).map(ociRule),
  };
};

/** A profile's JSON text, as the API carries it. */
export const parseSeccompProfile = (text: string): SeccompProfile => {
  const profile = parsed(text);
  const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(profile)) throw undecodable(`json: cannot unmarshal ${typeName(profile)} into Go value of type seccomp.Seccomp`);
  const { syscalls } = profile;
  if (syscalls !== undefined && syscalls !== null && !(Array.isArray(syscalls) && syscalls.every(isObject)))
    throw undecodable('json: cannot unmarshal value into Go struct field Seccomp.syscalls of type []*seccomp.Syscall');
  const defined = Object.fromEntries(Object.entries(profile).filter(([, value]) => value !== null));
  return { defaultAction: '', syscalls: [], ...defined } as unknown as SeccompProfile;
};

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw undecodable(error instanceof Error ? error.message : String(error));
  }
};

const undecodable = (cause: string): Error => systemError(`Decoding seccomp profile failed: ${cause}`);
const typeName = (value: Json): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : value === true || value === false ? 'bool' : typeof value);

const ociRule = ({ name, names = [], action, errnoRet, args }: SeccompRule): JsonObject => {
  if (name && names.length > 0) throw systemError("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
  return {
    names: name ? [name] : names,
    action,
    ...(errnoRet === undefined || errnoRet === null ? {} : { errnoRet }),
    ...(args && args.length > 0 ? { args: args.map(({ index, value, valueTwo, op }) => ({ index, value, ...(valueTwo ? { valueTwo } : {}), op })) } : {}),
  };
};

const atLeast = (kernel: KernelVersion, wanted: string | undefined): boolean => {
  if (!wanted) return true;
  const [major = 0, minor = 0] = wanted.split('.').map(Number);
  return kernel[0] > major || (kernel[0] === major && kernel[1] >= minor);
};
