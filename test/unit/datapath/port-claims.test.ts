// A port of the underlay is served by one driver, for all overlays on it and for every address of a family.
import { describe, expect, it } from 'vitest';
import { PortClaims } from '../../../src/core/datapath/port-claims.ts';
import { ipOf } from '../../helpers/frames.ts';

const at = (ip: string, listenPort?: number) => ({ listenIp: ipOf(ip), ...(listenPort === undefined ? {} : { listenPort }) });
const ONE = at('192.0.2.1', 4789);
const TWO = at('192.0.2.2', 4789);
const ELSEWHERE = at('192.0.2.1', 4790);
const SIX = at('2001:db8::1', 4789);

describe('a port', () => {
  it('is the same on every address of its family, and another in the other family', () => {
    const claims = new PortClaims();
    claims.claim('kernel', 'vxlan', ONE, 'overlay0');
    expect(claims.refuse('tap', TWO)).toBe('IPv4 port 4789 is carried by kernel for overlay0');
    expect(claims.refuse('tap', at('0.0.0.0', 4789))).toBe('IPv4 port 4789 is carried by kernel for overlay0');
    expect([claims.refuse('kernel', TWO), claims.refuse('tap', ELSEWHERE), claims.refuse('tap', SIX)]).toEqual([undefined, undefined, undefined]);
  });

  it('that is claimed is refused to the other driver with everybody who has it, and left as it was', () => {
    const claims = new PortClaims();
    claims.claim('tap', 'vxlan', ONE, 'overlay0');
    claims.claim('tap', 'vxlan', TWO, 'overlay1');
    expect(() => claims.claim('kernel', 'vxlan', ONE, 'overlay2')).toThrow(
      expect.objectContaining({
        code: 'PORT_IN_USE',
        message: 'vxlan/listen_port: IPv4 port 4789 is carried by tap for overlay0, overlay1, and kernel cannot share it',
        details: { port: 4789, datapath: 'kernel', overlays: ['overlay0', 'overlay1'] },
        advice: expect.stringContaining('Choose another vxlan/listen_port'),
      }),
    );
    for (const name of ['overlay0', 'overlay1']) claims.release(ONE, name);
    expect(claims.refuse('kernel', ONE)).toBeUndefined();
  });

  it('is free only when the last one has left it', () => {
    const claims = new PortClaims();
    for (const name of ['overlay0', 'overlay1']) claims.claim('kernel', 'vxlan', ONE, name);
    claims.release(ONE, 'overlay0');
    claims.release(ONE, 'nobody');
    claims.release(ELSEWHERE, 'overlay1');
    expect(claims.refuse('tap', ONE)).toContain('for overlay1');
    claims.release(TWO, 'overlay1');
    expect(claims.refuse('tap', ONE)).toBeUndefined();
    claims.claim('tap', 'vxlan', ONE, 'overlay2');
  });

  it('of one overlay is no obstacle to itself when it leaves its driver, that of others is', () => {
    const claims = new PortClaims();
    claims.claim('tap', 'vxlan', ONE, 'overlay0');
    expect(claims.refuse('kernel', ONE, 'overlay0')).toBeUndefined();
    claims.claim('tap', 'vxlan', TWO, 'overlay1');
    expect(claims.refuse('kernel', ONE, 'overlay0')).toBe('IPv4 port 4789 is carried by tap for overlay1');
  });

  it('that is not given is one too', () => {
    const claims = new PortClaims();
    claims.claim('tap', 'vxlan', at('192.0.2.1'), 'overlay0');
    expect(claims.refuse('kernel', at('192.0.2.2'))).toContain('for overlay0');
    expect(claims.refuse('kernel', ONE)).toBeUndefined();
  });
});

describe('a move', () => {
  it('has both ports until it is kept or undone', () => {
    const claims = new PortClaims();
    claims.claim('kernel', 'vxlan', ONE, 'overlay0');
    const undone = claims.move('kernel', 'vxlan', ONE, ELSEWHERE, 'overlay0');
    expect([claims.refuse('tap', ONE), claims.refuse('tap', ELSEWHERE)]).toEqual([expect.any(String), expect.any(String)]);
    undone.undo();
    expect([claims.refuse('tap', ONE), claims.refuse('tap', ELSEWHERE)]).toEqual([expect.any(String), undefined]);
    claims.move('kernel', 'vxlan', ONE, ELSEWHERE, 'overlay0').keep();
    expect([claims.refuse('tap', ONE), claims.refuse('tap', ELSEWHERE)]).toEqual([undefined, expect.any(String)]);
  });

  it.each(['undo', 'keep'] as const)('to another address of the same port leaves the port claimed, whether it is %s', (end) => {
    const claims = new PortClaims();
    claims.claim('kernel', 'vxlan', ONE, 'overlay0');
    claims.move('kernel', 'vxlan', ONE, TWO, 'overlay0')[end]();
    expect(claims.refuse('tap', ONE)).toContain('for overlay0');
  });

  it('to a port of the other driver is refused, and the old one stays', () => {
    const claims = new PortClaims();
    claims.claim('kernel', 'vxlan', ONE, 'overlay0');
    claims.claim('tap', 'vxlan', ELSEWHERE, 'overlay1');
    expect(() => claims.move('kernel', 'vxlan', ONE, ELSEWHERE, 'overlay0')).toThrow(expect.objectContaining({ code: 'PORT_IN_USE' }));
    expect(claims.refuse('tap', ONE)).toContain('for overlay0');
    claims.release(ELSEWHERE, 'overlay1');
    expect(claims.refuse('kernel', ELSEWHERE)).toBeUndefined();
  });
});
