import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject } from '../model/json.ts';
import { ALL_CAPABILITIES, DEFAULT_CAPABILITIES } from './capabilities.ts';
import { DEFAULT_SECCOMP_PROFILE } from './seccomp-profile.ts';
import { parseSeccompProfile, resolveSeccomp } from './seccomp.ts';
import type { Arch, KernelVersion } from './seccomp.ts';

const resolve = (capabilities: readonly string[] = DEFAULT_CAPABILITIES, arch: Arch = 'amd64', kernel: KernelVersion = [6, 18]): JsonObject =>
  resolveSeccomp(DEFAULT_SECCOMP_PROFILE, { capabilities, arch, kernel }) ?? {};

type Rule = { readonly names: readonly string[]; readonly action: string; readonly args?: readonly { readonly op: string; readonly value: number }[]; readonly errnoRet?: number };
const rules = (resolved: JsonObject): readonly Rule[] => resolved['syscalls'] as unknown as readonly Rule[];

/** A rule as one line: `clone arg0 MASKED_EQ 2114060288`. */
const line = ({ names, action, args = [], errnoRet }: Rule): string =>
  [
    names.length > 30 ? `${names.length} names` : names.join(' '),
    ...args.map(({ op, value }) => `arg0 ${op.replace('SCMP_CMP_', '')} ${value}`),
    ...(action === 'SCMP_ACT_ALLOW' ? [] : [`${action.replace('SCMP_ACT_', '')} ${errnoRet}`]),
  ].join(' ');

const DEFAULT_RULES = [
  '352 names',
  'process_vm_readv process_vm_writev ptrace',
  'socket arg0 NE 40',
  'personality arg0 EQ 0',
  'personality arg0 EQ 8',
  'personality arg0 EQ 131072',
  'personality arg0 EQ 131080',
  'personality arg0 EQ 4294967295',
  'arch_prctl',
  'modify_ldt',
  'clone arg0 MASKED_EQ 2114060288',
  'clone3 ERRNO 38',
  'chroot',
];

test('with the default capabilities, as the reference engine hands it to runc', () => {
  const { syscalls: _, ...rest } = resolve();
  assert.deepEqual(rest, { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] });
  assert.deepEqual(rules(resolve()).map(line), DEFAULT_RULES);
  const names = rules(resolve())[0]?.names ?? [];
  assert.equal(new Set(names).size, 352);
  for (const dangerous of ['keyctl', 'add_key', 'kexec_load', 'userfaultfd', 'io_uring_setup', 'mount', 'setns', 'unshare', 'bpf', 'ptrace', 'pivot_root', 'open_by_handle_at'])
    assert.equal(names.includes(dangerous), false, dangerous);
});

test('what capabilities open', () => {
  const more = (...names: string[]): string[] => rules(resolve([...DEFAULT_CAPABILITIES, ...names])).map(line).filter((each) => !DEFAULT_RULES.includes(each));
  assert.deepEqual(more('CAP_SYS_TIME'), ['settimeofday stime clock_settime clock_settime64']);
  assert.deepEqual(more('CAP_SYS_PTRACE'), ['kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace']);
  assert.deepEqual(more('CAP_NET_ADMIN'), []);
  const admin = rules(resolve([...DEFAULT_CAPABILITIES, 'CAP_SYS_ADMIN'])).map(line);
  assert.deepEqual(admin.filter((each) => /clone/.test(each)), [
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare',
  ]);
  assert.equal(rules(resolve([])).map(line).includes('chroot'), false);
  assert.equal(rules(resolve(ALL_CAPABILITIES)).length, 24);
});

test('other machines', () => {
  const arm = resolve(DEFAULT_CAPABILITIES, 'arm64');
  assert.deepEqual(arm['architectures'], ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  assert.equal(rules(arm).map(line).includes('arch_prctl'), false);
  assert.equal(rules(arm).map(line).includes('arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2'), true);
  assert.equal(rules(resolve(DEFAULT_CAPABILITIES, 'amd64', [4, 4])).map(line)[1], 'socket arg0 NE 40');
});

test("a client's own profile", () => {
  const own = (profile: Json): Json | undefined => resolveSeccomp(parseSeccompProfile(JSON.stringify(profile)), { capabilities: [], arch: 'amd64', kernel: [6, 1] });
  assert.equal(own({}), undefined);
  assert.deepEqual(own({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: null }), { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] });
  assert.throws(() => own([]), { message: 'Decoding seccomp profile failed: json: cannot unmarshal array into Go value of type seccomp.Seccomp' });
  assert.throws(() => own({ architectures: ['SCMP_ARCH_X86'], archMap: [{ architecture: 'SCMP_ARCH_X86_64' }], defaultAction: 'SCMP_ACT_ALLOW' }), {
    message: "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
  });
  assert.throws(() => own({ syscalls: [{ name: 'a', names: ['b'] }] }), {
    message: "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
  });
});
