// Reports of the engine on their way to the overlays they are for.
import { describe, expect, it } from 'vitest';
import type { ToEngine } from '../../../src/core/engine/messages.ts';
import { Overlays, type OverlaysParts } from '../../../src/core/overlay/overlays.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

function rig() {
  const sent: ToEngine[] = [];
  const engine = { send: (message: ToEngine) => void sent.push(message), call: async () => undefined };
  const overlay = { engine, clock: new FakeClock(), log: silentLog };
  // No overlay is made here, and what makes one is not asked.
  return { sent, overlays: new Overlays({ overlay, kernel: {} } as unknown as OverlaysParts) };
}

describe('misses of a port that has no overlay: it is not complete yet, or being deleted', () => {
  it('are refused, each once, so that nothing waits for an answer that nobody will give', () => {
    const { sent, overlays } = rig();
    // A target, a question, and one more who asks the same question.
    const batch = { ids: Float64Array.of(1, 2, 2), ports: Uint32Array.of(7, 8, 8), kinds: Uint8Array.of(0, 1, 2), ends: Uint32Array.of(1, 2, 3) };
    overlays.fromEngine({ op: 'lookups', ...batch, bytes: new Uint8Array(3) });
    expect(sent.flatMap((message) => (message.op === 'answers' ? message.answers : []))).toEqual([
      { id: 1, kind: 'drop' },
      { id: 2, kind: 'drop' },
    ]);
  });

  it('and other reports change nothing', () => {
    const { sent, overlays } = rig();
    overlays.fromEngine({ op: 'tapFailed', port: 7, errno: 77 });
    overlays.fromEngine({ op: 'tooBig', port: 7, to: { family: 4, ip: new Uint8Array(4), port: 1 }, packetBytes: 1500 });
    overlays.fromEngine({ op: 'aborts', ids: [1] });
    expect(sent).toEqual([]);
  });
});
