// Every request leaves exactly once, in time, whatever happens to its host.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Requests } from '../../../src/core/lookup/requests.ts';
import type { Ask } from '../../../src/core/lookup/types.ts';
import { LOOKUP_TIMEOUT_MS, MAX_ASKS } from '../../../src/core/util/limits.ts';

const mac = '02:00:00:00:00:01' as MacAddress;
const ask = (id: number): Ask => ({ id, kind: 'lookup', to: mac, from: mac, etherType: 0x800 });

describe('Requests', () => {
  it('are late at their deadline, not before', () => {
    const requests = new Requests();
    requests.add([ask(1)], 0);
    requests.add([ask(2)], 10);
    expect(requests.expire(LOOKUP_TIMEOUT_MS - 1)).toEqual([]);
    expect(requests.expire(LOOKUP_TIMEOUT_MS)).toEqual([1]);
    expect(requests.expire(LOOKUP_TIMEOUT_MS + 10)).toEqual([2]);
    expect(requests.size).toBe(0);
  });

  it('are all put to a host that takes over, once, and that does not count', () => {
    const requests = new Requests();
    requests.add([ask(1), ask(2), ask(3)], 0);
    requests.unsent(2);
    for (let n = 0; n < 2 * MAX_ASKS; n++) {
      requests.moved();
      expect(requests.unsent(2)).toEqual([ask(1), ask(2)]);
    }
    expect(requests.hostDied()).toEqual([]);
    expect(requests.unsent(10)).toEqual([ask(1), ask(2), ask(3)]);
    expect(requests.hostDied()).toEqual([1, 2]);
  });

  it('are put to a host at most so many times', () => {
    const requests = new Requests();
    requests.add([ask(1), ask(2)], 0);
    for (let n = 1; n < MAX_ASKS; n++) {
      expect(requests.unsent(1)).toEqual([ask(1)]);
      expect(requests.hostDied()).toEqual([]);
    }
    requests.unsent(1);
    expect(requests.hostDied()).toEqual([1]);
    expect(requests.all()).toEqual([ask(2)]);
  });

  it('take an answer of their own kind only', () => {
    const requests = new Requests();
    requests.add([ask(1), { id: 2, kind: 'resolve', ip: '10.0.0.1' as IpAddress }, { id: 3, kind: 'dhcp', client: mac }], 0);
    expect(requests.take({ id: 1, kind: 'resolved', mac })).toBe('wrong');
    expect(requests.take({ id: 2, kind: 'found', destination: {} })).toBe('wrong');
    expect(requests.take({ id: 3, kind: 'resolved', mac })).toBe('taken');
    expect(requests.take({ id: 2, kind: 'drop', reason: '' })).toBe('taken');
    expect(requests.take({ id: 2, kind: 'drop', reason: '' })).toBe('late');
    expect(requests.size).toBe(1);
  });

  it('leave exactly once, in any order of events', () => {
    const event = fc.oneof(
      fc.nat(30).map((id) => ({ kind: 'add', id }) as const),
      fc.nat(30).map((id) => ({ kind: 'answer', id }) as const),
      fc.nat(30).map((id) => ({ kind: 'abort', id }) as const),
      fc.constant({ kind: 'sent', id: 0 } as const),
      fc.constant({ kind: 'died', id: 0 } as const),
      fc.constant({ kind: 'moved', id: 0 } as const),
      fc.constant({ kind: 'time', id: 0 } as const),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const requests = new Requests();
        const left: number[] = [];
        const added: number[] = [];
        let now = 0;
        for (const { kind, id } of events) {
          if (kind === 'add' && !added.includes(id)) {
            added.push(id);
            requests.add([ask(id)], now);
          } else if (kind === 'answer') left.push(...(requests.take({ id, kind: 'drop', reason: '' }) === 'taken' ? [id] : []));
          else if (kind === 'abort') left.push(...requests.remove([id]));
          else if (kind === 'sent') requests.unsent(1000);
          else if (kind === 'moved') requests.moved();
          else if (kind === 'died') left.push(...requests.hostDied());
          else if (kind === 'time') {
            now += LOOKUP_TIMEOUT_MS / 3;
            left.push(...requests.expire(now));
          }
        }
        left.push(...requests.expire(now + LOOKUP_TIMEOUT_MS));
        expect(left.sort()).toEqual(added.sort());
      }),
    );
  });
});
