// What overlayd and systemd say to each other beyond the descriptors that are held: systemd/overlayd.socket, systemctl status.

/** Name of the control socket among the descriptors we are started with: FileDescriptorName= of overlayd.socket. */
export const CONTROL = 'control';

/** The line of sd_notify(3) that `systemctl status overlayd` shows. `degraded`: how many of the `overlays`. */
export function statusLine(overlays: number, degraded: number): string {
  const count = overlays === 1 ? '1 overlay' : `${overlays === 0 ? 'no' : overlays} overlays`;
  return `STATUS=${count}${degraded === 0 ? '' : `, ${degraded} degraded`}`;
}
