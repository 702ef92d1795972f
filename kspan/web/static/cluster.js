// The cluster that the address of the page names is kept in the addresses that scripts make.

/** Returns an address of this server with the cluster that the page's own address names, if it names one. */
export function inCluster(path) {
  const { cluster } = document.documentElement.dataset;
  if (!cluster) return path;
  const url = new URL(path, location.origin);
  url.searchParams.set("cluster", cluster);
  return url.pathname + url.search + url.hash;
}
