// eBPF: a program is loaded, or refused with the verifier's words; it hangs on a link here or in another namespace, and outlives its descriptor.
import { readdirSync } from 'node:fs';
import { endianness } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descriptorFlags, isRoot, loadTested, run, thrownBy } from './support.ts';

const io = loadTested();
const INGRESS = 46;
const EGRESS = 47;
const O_CLOEXEC = 0o2000000;
const isLittle = endianness() === 'LE';

/** `r0 = value; exit`, as struct bpf_insn. */
function returning(value: number): Uint8Array {
  const code = new DataView(new ArrayBuffer(16));
  code.setUint8(0, 0xb7);
  code.setInt32(4, value, isLittle);
  code.setUint8(8, 0x95);
  return new Uint8Array(code.buffer);
}
/** `exit` without a result. */
const unfinished = (): Uint8Array => returning(0).subarray(8);
const descriptors = (): number => readdirSync('/proc/self/fd').length;

test('code that cannot be a program is not shown to the kernel', () => {
  for (const length of [0, 1, 7, 9, 8 * 4097]) {
    expect(
      thrownBy(() => io.bpfLoad('test', new Uint8Array(length))),
      String(length),
    ).toBeInstanceOf(RangeError);
  }
  expect(thrownBy(() => io.bpfLoad('a234567890123456', returning(0)))).toBeInstanceOf(RangeError);
});

test('hooks that cannot be', () => {
  for (const wrong of [{ index: 0 }, { index: -1 }, { attachType: 45 }, { attachType: 48 }, { program: -1 }, { namespace: 'a\0b' }]) {
    const hook = { program: 0, index: 1, attachType: INGRESS, ...wrong };
    expect(
      thrownBy(() => io.bpfAttach(hook)),
      JSON.stringify(wrong),
    ).toBeInstanceOf(RangeError);
    if (!('program' in wrong)) expect(thrownBy(() => io.bpfAttached(hook))).toBeInstanceOf(RangeError);
  }
  const nowhere = { index: 1, attachType: INGRESS, namespace: '/nowhere' };
  expect(thrownBy(() => io.bpfAttached(nowhere))).toMatchObject({ code: 'ENOENT', syscall: 'open' });
  expect(thrownBy(() => io.bpfAttached({ ...nowhere, namespace: '/dev/null' }))).toMatchObject({ syscall: 'setns' });
});

describe.skipIf(!isRoot)('programs (needs root)', () => {
  const netns = `pb-${process.pid}`;
  const namespace = `/run/netns/${netns}`;
  let index = 0;
  beforeAll(() => {
    run('ip', 'netns', 'add', netns);
    run('ip', '-n', netns, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    index = Number.parseInt(run('ip', '-n', netns, '-o', 'link', 'show', 'veth0'), 10);
  });
  afterAll(() => {
    run('ip', 'netns', 'delete', netns);
  });

  test('a refusal ends with what the verifier said', () => {
    const before = descriptors();
    const error = thrownBy(() => io.bpfLoad('test', unfinished()));
    expect(error).toMatchObject({ code: 'EACCES', errno: 13, syscall: 'bpf' });
    expect(error?.message).toMatch(/R0 !read_ok/);
    expect(error?.message).not.toContain('\n');
    expect(thrownBy(() => io.bpfLoad('a name', returning(0)))).toMatchObject({ code: 'EINVAL', syscall: 'bpf' });
    expect(descriptors()).toBe(before);
  });

  test('a program hangs in another namespace, behind those that are there, and stays when its descriptor is closed', () => {
    const before = descriptors();
    const hook = { index, attachType: EGRESS, namespace };
    expect(io.bpfAttached(hook)).toEqual([]);
    for (const name of ['test_1', 'a23456789012345']) {
      const program = io.bpfLoad(name, returning(-1));
      expect(descriptorFlags(program) & O_CLOEXEC).toBe(O_CLOEXEC);
      io.bpfAttach({ ...hook, program });
      expect(thrownBy(() => io.bpfAttach({ ...hook, program }))).toMatchObject({ code: 'EEXIST', syscall: 'bpf' });
      io.close(program);
    }
    expect(io.bpfAttached(hook)).toEqual(['test_1', 'a23456789012345']);
    expect(io.bpfAttached({ ...hook, attachType: INGRESS })).toEqual([]);
    expect(descriptors()).toBe(before);
  });

  test('no such link, in this namespace or in that one; no program', () => {
    const program = io.bpfLoad('test', returning(0));
    const missing = { index: 2 ** 31 - 1, attachType: INGRESS };
    try {
      for (const hook of [missing, { ...missing, namespace }]) {
        expect(thrownBy(() => io.bpfAttach({ ...hook, program }))).toMatchObject({ code: 'ENODEV', syscall: 'bpf' });
        expect(thrownBy(() => io.bpfAttached(hook))).toMatchObject({ code: 'ENODEV', syscall: 'bpf' });
      }
      expect(thrownBy(() => io.bpfAttach({ index, attachType: INGRESS, namespace, program: 0x7fff_fff0 }))).toMatchObject({ code: 'EBADF' });
    } finally {
      io.close(program);
    }
  });
});
