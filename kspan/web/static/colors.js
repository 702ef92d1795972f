// The color of a component and the badge of a kind, as kspan/web/pages/html.py gives them to templates.

const KNOWN = new Map([
  ["kubectl", 0],
  ["deployment-controller", 1],
  ["replicaset-controller", 2],
  ["default-scheduler", 3],
  ["kubelet", 4],
]);
const OTHERS = [5, 6, 7];

const BADGES = new Map([
  ["CronJob", "Cj"],
  ["DaemonSet", "Ds"],
  ["PersistentVolume", "Pv"],
  ["PersistentVolumeClaim", "Pc"],
  ["ReplicaSet", "Rs"],
  ["ServiceAccount", "Sa"],
  ["StatefulSet", "Ss"],
]);

/** Returns the class that gives the color of a component: c0 to c7. */
export function colorOf(service) {
  const known = KNOWN.get(service);
  if (known !== undefined) return `c${known}`;
  const sum = new TextEncoder().encode(service).reduce((total, byte) => total + byte, 0);
  return `c${OTHERS[sum % OTHERS.length]}`;
}

/** Returns two letters for a kind: Po for Pod. */
export function badgeOf(kind) {
  if (BADGES.has(kind)) return BADGES.get(kind);
  const capitals = kind.match(/[A-Z]/g) ?? [];
  return capitals.length > 1 ? capitals[0] + capitals[1].toLowerCase() : kind.slice(0, 1).toUpperCase() + kind.slice(1, 2).toLowerCase();
}

const probe = typeof document === "undefined" ? null : document.createElement("i");

/** Returns a color that a canvas understands. It does not know light-dark() and variables; an element does. */
export function resolved(color) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = color;
  return getComputedStyle(probe).color;
}
