// Why a person cannot set or remove a target: the words, and what to do.
import { type MacAddress, OverlayError } from '@overlayadm/api';

export const targetNotFound = (overlay: string, text: string, mac: MacAddress): OverlayError =>
  new OverlayError('TARGET_NOT_FOUND', `${text}: object not found`, {
    details: { overlay, mac },
    advice: `"overlayadm show-overlay -t ${overlay}" shows the targets there are.`,
  });

export const noTargets = (overlay: string, search: string): OverlayError =>
  new OverlayError('NOT_SUPPORTED', 'operation not supported', {
    details: { overlay, search },
    advice: `${search} sends every frame to one destination; there is no table of targets.`,
  });

export const wrongTarget = (destination: string, reason: string): OverlayError =>
  new OverlayError('DESTINATION_WRONG', `${destination}: cannot be a destination, ${reason}`, {
    details: { destination, reason },
    advice: 'Give the underlay address of another host, of the address family that the overlay listens on.',
  });
