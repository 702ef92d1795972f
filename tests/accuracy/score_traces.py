#!/usr/bin/env python3
"""Score exported traces against what really happened.

usage: score_traces.py [-v] TRUTH.json[.gz] SPANS.jsonl [TRUTH.json SPANS.jsonl ...]

TRUTH.json says, for every Kubernetes Event occurrence (uid, count) of a recording, which action (a person's write to the API, or a CronJob's tick)
it goes back to; it was derived from the API server's audit log, which is not part of the recording. SPANS.jsonl is OTLP/JSON, one
{"resourceSpans": [...]} a line, as `kspan replay RECORDING --export file:SPANS.jsonl` writes it.

An occurrence is found in the output as a span with the attribute k8s.event.uid (and k8s.event.count where the Event repeated), or as a span event
with k8s.event.count on such a span.

  found     share of the occurrences that are in the output at all
  grouping  B-cubed F1: do the occurrences of one action, and no others, share one trace?
  root      share of the occurrences whose trace starts with the right action: a parentless span (or one whose parent is a remote
            span that the object carried) about the acted-on object (attribute k8s.object.uid), within 2 s of the action
  above     share of the occurrences that have, among their ancestors, the Event that led to them (the ReplicaSet's "Created pod: X" above
            what happens to pod X, the Deployment's "Scaled up replica set Y" above that)
  times     share of the spans that neither end before they start nor start before their parent
"""
import gzip, json, sys
from collections import defaultdict

def value(v):
    for k in ('stringValue', 'intValue', 'doubleValue', 'boolValue'):
        if k in v: return v[k]

def opened(path): return gzip.open(path, 'rt') if str(path).endswith('.gz') else open(path)

def attrs(a): return {x['key']: value(x['value']) for x in a or []}

def read_spans(path):
    spans = {}
    with opened(path) as lines: found = [json.loads(line) for line in lines if line.strip()]
    for line in found:
        for rs in line['resourceSpans']:
            res = attrs((rs.get('resource') or {}).get('attributes'))
            for ss in rs.get('scopeSpans', []):
                for s in ss['spans']:
                    s['attrs'] = {**res, **attrs(s.get('attributes'))}
                    s['service'] = res.get('service.name')
                    spans[s['traceId'], s['spanId']] = s
    return spans

def ancestors(spans, s):
    seen = set()
    while (p := s.get('parentSpanId')) and (s['traceId'], p) in spans and p not in seen:
        seen.add(p); s = spans[s['traceId'], p]; yield s

def bcubed(pairs):
    """[(truth group, predicted group)] -> F1 of B-cubed precision and recall."""
    t, p, tp = defaultdict(int), defaultdict(int), defaultdict(int)
    for a, b in pairs: t[a] += 1; p[b] += 1; tp[a, b] += 1
    n = len(pairs)
    if not n: return float('nan')
    prec = sum(tp[a, b] / p[b] for a, b in pairs) / n
    rec = sum(tp[a, b] / t[a] for a, b in pairs) / n
    return 2 * prec * rec / (prec + rec)

def score(truth_path, spans_path, verbose=False):
    with opened(truth_path) as file: truth = json.load(file)
    spans = read_spans(spans_path)
    actions = {a['id']: a for a in truth['actions']}
    by_event = defaultdict(list)
    for s in spans.values():
        if u := s['attrs'].get('k8s.event.uid'): by_event[u].append(s)

    def find(uid, count):
        ss = by_event.get(uid, [])
        for s in ss:
            if int(s['attrs'].get('k8s.event.count', 1)) == count: return s
        for s in ss:
            for ev in s.get('events', []):
                if int(attrs(ev.get('attributes')).get('k8s.event.count', -1)) == count: return s
        return None

    todo = [e for e in truth['events'] if e['action'] and not e['listed']]
    found, pairs, roots, above = 0, [], [], []
    for e in todo:
        s = find(e['uid'], e['count'])
        found += s is not None
        pairs.append((e['action'], s['traceId'] if s else ('missing', e['uid'], e['count'])))
        a, ok = actions[e['action']], False
        if s:
            chain = [s, *ancestors(spans, s)]; r = chain[-1]
            start = int(r['startTimeUnixNano']) / 1e9
            objs = {a['uid'], *( [r['attrs'].get('k8s.object.uid')] if a['kind'] == 'Job' and r['attrs'].get('k8s.object.kind') == 'CronJob' and 'cronjob' in a['who'] else [])}
            ok = r['attrs'].get('k8s.object.uid') in objs and abs(start - a['time']) <= 2 and (not r.get('parentSpanId') or r['parentSpanId'] in truth.get('remote_parents', ()))
            if e.get('above'): above.append(any(x['attrs'].get('k8s.event.uid') == e['above'] for x in chain[1:]))
        elif e.get('above'): above.append(False)
        roots.append(ok)
        if verbose and (not ok or (e.get('above') and not above[-1])):
            print(f"    {'root' if not ok else 'above'}: {e['kind']}/{e['object']} {e['reason']}#{e['count']} \"{e['message'][:50]}\" belongs to {a['who']} {a['verb']} {a['kind']}/{a['name']} gen {a['generation']}"
                  + (f"; is under {r['service']} {r['name']} {r['attrs'].get('k8s.object.name')}" if s else '; is missing'))
    good = sum(1 for s in spans.values() if int(s['endTimeUnixNano']) >= int(s['startTimeUnixNano'])
               and all(int(p['startTimeUnixNano']) <= int(s['startTimeUnixNano']) for p in list(ancestors(spans, s))[:1]))
    mean = lambda xs: sum(xs) / len(xs) if xs else float('nan')
    return dict(scenario=truth['scenario'], events=len(todo), actions=len({e['action'] for e in todo}), traces=len({p for _, p in pairs}), found=found / max(1, len(todo)),
                grouping=bcubed(pairs), root=mean(roots), above=mean(above), times=good / max(1, len(spans)))

if __name__ == '__main__':
    args = sys.argv[1:]; verbose = '-v' in args; args = [a for a in args if a != '-v']
    if not args or len(args) % 2: sys.exit(__doc__)
    cols = ('found', 'grouping', 'root', 'above', 'times')
    print(f"{'scenario':28}{'events':>7}{'actions':>8}{'traces':>7}" + ''.join(f'{c:>10}' for c in cols))
    rows = []
    for t, s in zip(args[::2], args[1::2]):
        r = score(t, s, verbose); rows.append(r)
        print(f"{r['scenario']:28}{r['events']:7}{r['actions']:8}{r['traces']:7}" + ''.join(f'{r[c]:10.3f}' for c in cols))
    if len(rows) > 1:
        import math
        print(f"{'mean':28}{'':22}" + ''.join(f"{sum(x for r in rows if not math.isnan(x := r[c])) / max(1, sum(not math.isnan(r[c]) for r in rows)):10.3f}" for c in cols))
