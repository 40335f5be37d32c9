# SPDX-License-Identifier: BSD-2-Clause
"""Forged replies: whoever guesses all but one attribute of a question gets nothing in, and stops nothing."""
import copy
import socket

import dns.flags
import dns.message
import pytest

import ask
from upstreams import Fake, reply

TRUE, FORGED = '192.0.2.1', '198.51.100.66'


def changed(query, change):
    r = reply(query, f'300 A {FORGED}')
    r.question = [copy.copy(q) for q in query.question]  # the reply would share it with the truth
    change(r)
    return r.to_wire()


def set_question(name=None, kind=None, klass=None):
    def change(r):
        q = r.question[0]
        q.name, q.rdtype, q.rdclass = name or q.name, kind or q.rdtype, klass or q.rdclass
    return change


def wrong_id(r):
    r.id ^= 0x0100


def not_a_reply(r):
    r.flags &= ~dns.flags.QR


def other_opcode(r):
    r.set_opcode(2)


def no_question(r):
    r.question = []


def two_questions(r):
    r.question.append(r.question[0])


def other_case(r):
    text = r.question[0].name.to_text()
    r.question[0].name = dns.name.from_text(text.swapcase())


IN_THE_DATAGRAM = {
    'id': wrong_id,
    'name': set_question(name=dns.name.from_text('other.example.com')),
    'type': set_question(kind=28),
    'class': set_question(klass=3),
    'direction': not_a_reply,
    'opcode': other_opcode,
    'no question': no_question,
    'two questions': two_questions,
}
BELIEVED_NEVER = 5  # of each kind, for each question


class Forger:
    """Answers each question with forgeries first, then with the truth."""

    def __init__(self):
        self.sent = self.elsewhere = 0
        self.kinds = list(IN_THE_DATAGRAM.values())
        self.other_port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other_port.bind(('127.0.0.1', 0))
        self.other_host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __call__(self, query, how):
        if not how.udp:
            return reply(query, f'300 A {TRUE}')
        forged = []
        for change in self.kinds:
            forged += [changed(query, change)] * BELIEVED_NEVER
        for s in (self.other_port, self.other_host):
            for _ in range(BELIEVED_NEVER // 2 + 1):
                s.sendto(reply(query, f'300 A {FORGED}').to_wire(), how.client)
                self.elsewhere += 1
        self.sent += len(forged)
        return forged + [reply(query, f'300 A {TRUE}')]


def test_of_10000_forged_replies_none_is_believed(waymark, peers):
    forger = Forger()
    real = peers(Fake, forger)
    forger.other_host.bind(('127.0.0.9', real.port))  # the right port of another host
    w = waymark(upstream=real.port)
    asked = 0
    while forger.sent + forger.elsewhere < 10000:
        answer = w.ask(f'host{asked}.example.com', 'A')
        assert ask.addresses(answer) == [TRUE]
        asked += 1
    for n in range(asked):  # nor in the cache
        assert ask.addresses(w.ask(f'host{n}.example.com', 'A')) == [TRUE]
    stats = w.stats()
    assert real.count() == asked, 'each question was asked once'
    assert stats['upstream_replies'] == asked
    assert stats['upstream_mismatch'] + stats['upstream_malformed'] == forger.sent
    forger.other_port.close()
    forger.other_host.close()


def test_forged_replies_with_other_letters_do_not_switch_the_letters_off(waymark, peers):
    """They look like those of a server that changes letters, which costs a second question, but no belief."""
    seen, forged = set(), []

    def answer(query, _):
        name = query.question[0].name.to_text()
        if name.lower() in seen:
            return reply(query, f'300 A {TRUE}')
        seen.add(name.lower())
        forged.append(name)
        return [changed(query, other_case)] * BELIEVED_NEVER + [reply(query, f'300 A {TRUE}')]

    w = waymark({'server': {'workers': 1}}, upstream=peers(Fake, answer).port)
    for n in range(200):
        assert ask.addresses(w.ask(f'host{n}.example.com', 'A')) == [TRUE]
    assert w.stats()['upstream_case'] == 0 and len(set(forged)) == 200


def test_source_ports_and_ids_are_not_to_be_guessed(waymark, peers):
    ports, ids = set(), set()

    def answer(query, how):
        ports.add(how.client[1])
        ids.add(query.id)
        return reply(query, f'300 A {TRUE}')

    w = waymark(upstream=peers(Fake, answer).port)
    for n in range(500):
        w.ask(f'host{n}.example.com', 'A')
    # Of 500 drawn from 28,000 or more, some 5 are drawn twice; a counter or a fixed port gives far less or none.
    assert len(ports) > 450, f'{len(ports)} ports of 500'
    assert len(ids) > 450, f'{len(ids)} IDs of 500'


def test_letters_of_questions_are_mixed_at_random(waymark, peers):
    seen = set()

    def answer(query, _):
        seen.add(query.question[0].name.to_text())
        return reply(query, f'0 A {TRUE}')

    w = waymark(upstream=peers(Fake, answer).port)
    for _ in range(10):
        assert ask.addresses(w.ask('a-name-with-many-letters.example.com', 'A')) == [TRUE]
    assert len(seen) > 5


def test_server_that_changes_letters_is_used_all_the_same(waymark, peers):
    def answer(query, _):
        r = reply(query, f'300 A {TRUE}')
        r.question = [copy.copy(r.question[0])]
        r.question[0].name = dns.name.from_text(r.question[0].name.to_text().lower())
        return r

    w = waymark(upstream=peers(Fake, answer).port)
    assert ask.addresses(w.ask('a-name-with-many-letters.example.com', 'A')) == [TRUE]


POISON = {
    'other name in the answer': ('other.example.com.', 'answer'),
    'other name in the authority': ('other.example.com.', 'authority'),
    'other name in the additional section': ('other.example.com.', 'additional'),
}


@pytest.mark.parametrize('row', POISON)
def test_what_was_not_asked_is_not_kept(waymark, peers, row):
    name, section = POISON[row]

    def answer(query, _):
        asked = query.question[0].name.to_text().lower()
        r = reply(query, f'300 A {TRUE}')
        if asked == 'host.example.com.':
            getattr(r, section).append(dns.rrset.from_text(name, 300, 'IN', 'A', FORGED))
        return r

    w = waymark(upstream=peers(Fake, answer).port)
    assert TRUE in ask.addresses(w.ask('host.example.com', 'A'))
    assert ask.addresses(w.ask(name, 'A')) == [TRUE]
