import { systemError } from '../model/errors.ts';

/** Who a process runs as. */
export type User = {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first. */
  readonly additionalGids: readonly number[];
  readonly home: string;
};

export const ROOT: User = { uid: 0, gid: 0, additionalGids: [0], home: '/root' };

/**
 * `USER[:GROUP]`, each a name or a number, looked up in the container's own /etc/passwd and /etc/group
 * (undefined: it has none), with `--group-add`.
 */
export const resolveUser = (user: string, passwd: string | undefined, group: string | undefined, groupAdd: readonly string[] = []): User => {
  const [userPart = '', groupPart = ''] = user.split(':');
  const groups = parseGroups(group ?? '');
  const account = parsePasswd(passwd ?? '').find(({ name, uid }) => (userPart === '' ? uid === 0 : name === userPart || String(uid) === userPart));
  const uid = account?.uid ?? (userPart === '' ? 0 : numberOf(userPart, `unable to find user ${userPart}: no matching entries in passwd file`));

  const gid = groupPart === '' ? (account?.gid ?? 0) : groupId(groupPart, groups, `unable to find group ${groupPart}: no matching entries in group file`);
  const memberOf = groupPart === '' && account !== undefined ? groups.filter(({ members }) => members.includes(account.name)).map((each) => each.gid) : [];
  const added = groupAdd.map((ref) => groupId(ref, groups, `Unable to find group ${ref}: no matching entries in group file`));
  return { uid, gid, additionalGids: [...new Set([gid, ...memberOf, ...added])], home: account?.home || '/' };
};

const groupId = (ref: string, groups: readonly Group[], missing: string): number =>
  groups.find(({ name, gid }) => name === ref || String(gid) === ref)?.gid ?? numberOf(ref, missing);

const MAXIMUM = 2 ** 31 - 1;

const numberOf = (text: string, missing: string): number => {
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(Number(text))) throw systemError(missing);
  const id = Number(text);
  if (id < 0 || id > MAXIMUM) throw systemError(`uids and gids must be in range 0-${MAXIMUM}`);
  return id;
};

type Account = { readonly name: string; readonly uid: number; readonly gid: number; readonly home: string };
type Group = { readonly name: string; readonly gid: number; readonly members: readonly string[] };

/** name:password:uid:gid:comment:home:shell */
const parsePasswd = (text: string): Account[] =>
  records(text).map(([name = '', , uid, gid, , home = '']) => ({ name, uid: Number(uid) || 0, gid: Number(gid) || 0, home }));

/** name:password:gid:member,member... */
const parseGroups = (text: string): Group[] =>
  records(text).map(([name = '', , gid, members = '']) => ({ name, gid: Number(gid) || 0, members: members.split(',').filter((member) => member !== '') }));

const records = (text: string): string[][] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
