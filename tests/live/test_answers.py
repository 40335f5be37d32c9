# SPDX-License-Identifier: BSD-2-Clause
"""What the unit tests of the tool take for the daemon's answers (tests/unit/ctl/answers.json) is what the daemon says.

WAYMARK_RECORD=1 writes that file anew, which is due when an answer has got another field (counters are no matter); what
differs from run to run has a fixed value in it.
"""
import json
import os
import re

from process import wait_for

FILE = os.path.join(os.path.dirname(__file__), '../unit/ctl/answers.json')
POLICY = '''
waymark-policy: 1
networks: {kiosks: [10.20.64.0/18], dmz: [10.1.0.0/16]}
pools:
  kms: [kms01.contoso.com, {target: kms02.contoso.com, priority: 10}]
rules:
  merged-domains: {suffixes: [fabrikam.local, other.example], pool: kms}
  kiosks-anything: {suffixes: ["*"], networks: [kiosks], pool: kms, mode: shadow}
  dmz-mak: {suffixes: ["*"], networks: [dmz], action: deny}
'''
SETTINGS = {'access': [{'net': '10.0.0.0/8', 'action': 'allow'}, {'net': '10.9.0.0/16', 'action': 'refuse'}]}
EXPLAIN = '/v1/explain?name=_vlmcs._tcp.'
ASKED = [
    ('missing', 'GET', EXPLAIN + 'hr.fabrikam.local&client=10.20.64.7'),
    ('filled', 'GET', EXPLAIN + 'fabrikam.local&client=10.20.64.7&verdict=nxdomain'),
    ('refused', 'GET', EXPLAIN + 'fabrikam.local&client=10.9.1.1'),
    ('plain', 'GET', '/v1/explain?name=www.contoso.com&type=A&client=127.0.0.1'),
    ('not a name', 'GET', '/v1/explain?name=a..b'),
    ('status', 'GET', '/v1/status'),
    ('stats', 'GET', '/v1/stats'),
    ('upstreams', 'GET', '/v1/upstreams'),
    ('health', 'GET', '/v1/health'),
    ('cache', 'GET', '/v1/cache'),
    ('cached', 'GET', '/v1/cache/www.contoso.com?type=A'),
    ('not cached', 'GET', '/v1/cache/.'),
    ('not changed', 'POST', '/v1/reload'),
]
FIXED = {'pid': 812, 'started': 1795338000123, 'read': 1795338000123, 'last_commit': 1795338000123, 'moved': 1795338000123, 'uptime_s': 93784,
         'ms': 51, 'rtt_ms': 12, 'ttl_s': 41, 'age_s': 19, 'user': 0, 'digest': '9f2c61d0', 'bytes': 1572864,
         'version': '0.1.0', 'file': '/etc/waymark/waymark.yaml'}


def fixed(value, key=None):
    if key in FIXED and value is not None:
        return FIXED[key]
    if isinstance(value, dict):
        return {k: fixed(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return sorted(map(fixed, value)) if key == 'records' else [fixed(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r'/tmp/waymark-\w+/', '/etc/waymark/', re.sub(r'(127\.0\.0\.1:)\d+', r'\g<1>53', value))
        return re.sub(r'^(\S+)\s+\d+\s+IN', r'\1 60 IN', value)
    return value


def shape(value):
    """Keys and kinds of values; of a list of objects those of its first member, and nothing of what may be null."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value[:1]] if value and isinstance(value[0], dict) else 'list'
    return type(value).__name__


def test_the_recorded_answers_are_those_of_the_daemon(nsd, waymark):
    w = waymark(SETTINGS, upstream=nsd.port, start=False)
    w.settings['audit']['outputs'] = [{'to': f'file:{w.dir}/audit.json'}]
    w.write_settings()
    w.policy(POLICY)
    w.start()
    w.ask('www.contoso.com', 'A')
    w.find('fabrikam.local')
    wait_for(lambda: w.json('status')['audit']['last_commit'], 'a commit of the audit')
    said = {name: w.api(method, path) for name, method, path in ASKED}
    w.settings['kms'] = {'mode': 'shadow', 'probe-interval': 0}
    w.settings['cache'] = {'size': '32M'}
    w.write_settings()
    said['changed'] = w.api('POST', '/v1/reload')
    w.settings['server']['wrokers'] = 2
    w.write_settings()
    said['settings with problems'] = w.api('POST', '/v1/reload')
    counters = said['stats'][1]['stats']
    assert all(isinstance(value, int) for value in counters.values())
    said['stats'] = 200, {'stats': {name: counters[name] for name in ('queries', 'answers')}}
    said = {name: {'status': code, 'body': fixed(body)} for name, (code, body) in said.items()}
    if os.environ.get('WAYMARK_RECORD'):
        with open(FILE, 'w', encoding='utf-8') as f:
            json.dump(said, f, indent=1)
            f.write('\n')
    with open(FILE, encoding='utf-8') as f:
        assert shape(json.load(f)) == shape(said)
