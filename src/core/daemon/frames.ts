// The one place where overlays meet wire formats: reading what missed, and making what is answered.
import { macFromBytes } from '@overlayadm/api';
import type { OverlayParts } from '../overlay/overlay.ts';
import { announcement, arpAnswer, dhcpRedirect, ndAnswer, readQuestion } from '../proxy/answers.ts';
import { newFrameView, parseFrame } from '../wire/ethernet.ts';

function readTarget(head: Uint8Array): ReturnType<OverlayParts['frames']['readTarget']> {
  const view = newFrameView();
  if (!parseFrame(head, 0, head.length, view)) return undefined;
  const vlan = view.vlan < 0 ? {} : { vlan: view.vlan };
  return { to: macFromBytes(head, view.to), from: macFromBytes(head, view.from), etherType: view.etherType, ...vlan };
}

export const frameDoor: OverlayParts['frames'] = { readTarget, readQuestion, arpAnswer, ndAnswer, dhcpRedirect, announcement };
