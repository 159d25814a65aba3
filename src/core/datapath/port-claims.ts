// Who serves a UDP port of the underlay: a kernel link and a socket of ours cannot share one, so the first overlay on it decides for all.
import { ipFamily, OverlayError, type UnderlaySocket } from '@overlayadm/api';
import type { DriverName } from './driver.ts';

interface Claim {
  readonly driver: DriverName;
  readonly overlays: Set<string>;
}

const keyOf = ({ listenIp, listenPort }: UnderlaySocket): string => `${ipFamily(listenIp)} ${listenPort ?? 0}`;

/** A family has the port on all its addresses: so the kernel binds it, whatever the link's own address is. */
export class PortClaims {
  readonly #claims = new Map<string, Claim>();

  /** Why `driver` cannot serve the port of this socket; undefined when it can. `except`: an overlay that is about to leave it. */
  refuse(driver: DriverName, socket: UnderlaySocket, except?: string): string | undefined {
    const claim = this.#claims.get(keyOf(socket));
    const others = [...(claim?.overlays ?? [])].filter((name) => name !== except);
    if (claim === undefined || claim.driver === driver || others.length === 0) return undefined;
    const { listenIp, listenPort } = socket;
    return `IPv${ipFamily(listenIp)} port ${listenPort} is carried by ${claim.driver} for ${others.join(', ')}`;
  }

  /** @throws OverlayError PORT_IN_USE */
  claim(driver: DriverName, encap: string, socket: UnderlaySocket, overlay: string): void {
    const reason = this.refuse(driver, socket);
    if (reason !== undefined) {
      const overlays = [...(this.#claims.get(keyOf(socket))?.overlays ?? [])];
      throw new OverlayError('PORT_IN_USE', `${encap}/listen_port: ${reason}, and ${driver} cannot share it`, {
        details: { port: socket.listenPort ?? 0, datapath: driver, overlays },
        advice: `Choose another ${encap}/listen_port, or the data path of the others.`,
      });
    }
    const claim = this.#claims.get(keyOf(socket)) ?? { driver, overlays: new Set() };
    claim.overlays.add(overlay);
    this.#claims.set(keyOf(socket), claim);
  }

  /** The overlay has both ports until the move is kept or undone. On another address the port is the same. @throws OverlayError PORT_IN_USE */
  move(driver: DriverName, encap: string, from: UnderlaySocket, to: UnderlaySocket, overlay: string): { undo(): void; keep(): void } {
    this.claim(driver, encap, to, overlay);
    const isSame = keyOf(from) === keyOf(to);
    const leave = (socket: UnderlaySocket): void => (isSame ? undefined : this.release(socket, overlay));
    return { undo: () => leave(to), keep: () => leave(from) };
  }

  /** Fine when it has none. */
  release(socket: UnderlaySocket, overlay: string): void {
    const claim = this.#claims.get(keyOf(socket));
    claim?.overlays.delete(overlay);
    if (claim?.overlays.size === 0) this.#claims.delete(keyOf(socket));
  }
}
