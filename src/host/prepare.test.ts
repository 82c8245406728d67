import assert from 'node:assert/strict';
import { test } from 'node:test';
import { borrowedControllers } from './prepare.ts';

const mountinfo = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
45 27 0:39 / /run/other/cgroup/hugetlb rw,relatime - cgroup cgroup rw,hugetlb
`;

test('a controller that is on cgroup v1 by another daemon\'s mount alone is one to mount', () => {
  assert.deepEqual(borrowedControllers(mountinfo, '/run/berth/cgroup'), ['hugetlb']);
});

test('one that is mounted for us, or by the machine itself, is not', () => {
  assert.deepEqual(borrowedControllers(mountinfo, '/run/other/cgroup'), []);
  assert.deepEqual(borrowedControllers(`${mountinfo}46 31 0:39 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n`, '/run/berth/cgroup'), []);
});
