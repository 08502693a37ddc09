"""Shows that each analysis fires on a made-up bad history, and that none fires on good ones."""
import unittest

import analyses

CLOCK = [0.0]


def op(f, *mops, process=0, outcome="ok", begin=None, end=None, **more):
    """An operation of one time unit behind all before, unless told otherwise."""
    CLOCK[0] += 2
    return {"process": process, "f": f, "begin": CLOCK[0] if begin is None else begin, "end": CLOCK[0] + 1 if end is None else end,
            "outcome": outcome, "mops": [list(mop) for mop in mops], **more}


def send(value, offset, key="k"):
    return ("send", key, value, offset)


def poll(*records, key="k"):
    return ("poll", {key: [list(record) for record in records]})


END = {"f": "end", "complete": True}


class Good(unittest.TestCase):
    def clean(self, *history):
        self.assertEqual(analyses.check(list(history)), {})

    def test_what_is_sent_is_read(self):
        self.clean(op("send", send(1, 0)), op("send", send(2, 1)), op("poll", poll((0, 1), (1, 2)), process=1), END)

    def test_an_unknown_send_may_be_there_or_not(self):
        self.clean(op("send", send(1, 0)), op("send", send(2, None), outcome="info"), op("send", send(3, None), outcome="info"), op("send", send(4, 2)),
                   op("poll", poll((0, 1), (1, 3), (2, 4)), process=1), END)

    def test_offsets_of_markers_and_aborted_records_are_no_skip(self):
        self.clean(op("txn", send(1, 0), send(2, 1)), op("txn", send(3, 3), outcome="fail"), op("txn", send(4, 5)), op("poll", poll((0, 1), (1, 2), (5, 4)), process=1), END)

    def test_a_reader_that_was_rewound_reads_again(self):
        self.clean(op("send", send(1, 0)), op("send", send(2, 1)), op("poll", poll((0, 1), (1, 2)), process=1), op("poll", poll((0, 1)), process=1, reset=["k"]))

    def test_unread_at_the_end_is_not_lost_when_the_end_was_not_read(self):
        self.clean(op("send", send(1, 0)), op("send", send(2, 1)), op("poll", poll((0, 1)), process=1))

    def test_commits_are_read_back(self):
        commit = lambda at, offset, outcome="ok": {"group": "g", "offsets": {"k": offset}, "outcome": outcome, "begin": at, "end": at + 1}
        ask = lambda at, offset, **more: op("committed", begin=at, end=at + 1, committed=["g", {"k": offset}], **more)
        self.clean(ask(0, -1), op("commit", begin=2, end=3, commits=[commit(2, 5)]), ask(4, 5),
                   # A commit nobody answered: both are legal, also later on.
                   op("commit", outcome="info", begin=6, end=7, commits=[commit(6, 9, "info")]), ask(8, 5), ask(10, 9), ask(12, 9),
                   # A commit under way while the question is asked.
                   op("commit", begin=20, end=30, commits=[{**commit(20, 11), "end": 30}]), ask(22, 9), ask(24, 11),
                   # Another member commits less: a rebalance may do so.
                   op("commit", begin=40, end=41, commits=[commit(40, 3)]), ask(42, 3), ask(44, 9, outcome="fail"))

    def test_latest_offsets_rise(self):
        self.clean(op("poll", poll((0, 1))), op("offsets", latest={"k": 1}), op("offsets", latest={"k": 4}), op("offsets", latest={"k": 2}, process=9), op("send", send(1, 0), begin=0, end=1))

    def test_two_transactions_may_hand_over(self):
        self.clean(op("txn", send(1, 0)), op("txn", poll((0, 1)), send(1, 0, key="l"), process=1), op("txn", poll((0, 1), key="l"), process=2))


class Bad(unittest.TestCase):
    """One test for each detector: exactly the named anomalies are found."""

    def fires(self, names, *history):
        self.assertEqual(sorted(analyses.check(list(history))), sorted(names.split()))

    def kinds(self, kinds, *history):
        found = analyses.check(list(history))
        self.assertEqual(sorted({one["kind"] for those in found.values() for one in those}), sorted(kinds.split()))

    def test_inconsistent_offsets(self):
        self.fires("inconsistent-offsets", op("send", send(1, None), outcome="info"), op("send", send(2, None), outcome="info"), op("poll", poll((0, 1)), process=1),
                   op("poll", poll((0, 2)), process=2))

    def test_inconsistent_offsets_between_ack_and_poll(self):
        self.fires("inconsistent-offsets unseen", op("send", send(1, 0)), op("send", send(2, None), outcome="info"), op("poll", poll((0, 2)), process=1), END)

    def test_duplicate(self):
        self.fires("duplicate", op("send", send(1, 0)), op("poll", poll((0, 1), (1, 1)), process=1), END)

    def test_ack_offset(self):
        self.fires("ack-offset", op("send", send(1, 5)), op("poll", poll((4, 1)), process=1), END)

    def test_phantom(self):
        self.fires("phantom", op("send", send(1, 0)), op("poll", poll((0, 1), (1, 77)), process=1), END)

    def test_lost_write(self):
        self.fires("lost-write", op("send", send(1, 0)), op("send", send(2, 1)), op("poll", poll((1, 2)), process=1))

    def test_lost_write_of_an_unanswered_transaction_that_was_partly_read(self):
        self.fires("lost-write torn-transaction", op("txn", send(1, 0), send(1, 0, key="l"), outcome="info"), op("send", send(2, 5)), op("poll", poll((0, 1), key="l"), process=1),
                   op("poll", poll((5, 2)), process=1))

    def test_unseen(self):
        self.fires("unseen", op("send", send(1, 0)), op("send", send(2, 1)), op("poll", poll((0, 1)), process=1), END)

    def test_aborted_read(self):
        self.fires("aborted-read", op("txn", send(1, 0), outcome="fail"), op("poll", poll((0, 1)), process=1))

    def test_precommitted_read(self):
        self.fires("precommitted-read", op("txn", send(1, 0), poll((0, 1))))

    def test_torn_transaction(self):
        self.fires("torn-transaction", op("txn", send(1, None), send(1, None, key="l"), outcome="info"), op("poll", poll((0, 1)), process=1), END)

    def test_poll_skip_within(self):
        sent = [op("send", send(n, n)) for n in range(3)]
        self.kinds("int-poll-skip", *sent, op("poll", poll((0, 0), (1, 1)), process=1), op("poll", poll((0, 0), (2, 2)), process=2))

    def test_nonmonotonic_poll_within(self):
        sent = [op("send", send(n, n)) for n in range(2)]
        self.kinds("int-nonmonotonic-poll", *sent, op("poll", poll((0, 0), (1, 1), (0, 0)), process=1))

    def test_poll_skip_across(self):
        sent = [op("send", send(n, n)) for n in range(3)]
        self.kinds("poll-skip", *sent, op("poll", poll((0, 0)), process=1), op("poll", poll((2, 2)), process=1), op("poll", poll((1, 1)), process=2))

    def test_nonmonotonic_poll_across(self):
        sent = [op("send", send(n, n)) for n in range(2)]
        self.kinds("nonmonotonic-poll", *sent, op("poll", poll((0, 0), (1, 1)), process=1), op("poll", poll((1, 1)), process=1))

    def test_nonmonotonic_send(self):
        self.kinds("nonmonotonic-send", op("send", send(1, 5)), op("send", send(2, 3)))

    def test_nonmonotonic_send_of_two_processes(self):
        self.kinds("realtime-nonmonotonic-send", op("send", send(1, 5)), op("send", send(2, 3), process=1))

    def test_nonmonotonic_send_within(self):
        self.kinds("int-nonmonotonic-send", op("txn", send(1, 5), send(2, 3)))

    def test_offset_zero(self):
        self.fires("offset-zero nonmonotonic-send", op("send", send(1, 4)), op("send", send(2, 0)))

    def test_committed_offset_goes_back(self):
        commit = lambda at, offset: op("commit", begin=at, end=at + 1, commits=[{"group": "g", "offsets": {"k": offset}, "outcome": "ok", "begin": at, "end": at + 1}])
        ask = lambda at, offset: op("committed", begin=at, end=at + 1, committed=["g", {"k": offset}])
        self.fires("committed-offset", commit(0, 5), commit(2, 9), ask(4, 5))
        self.fires("committed-offset", commit(0, 5), commit(2, 9), ask(4, -1))
        self.fires("committed-offset", commit(0, 5), ask(4, 7))

    def test_a_refused_commit_takes_effect(self):
        self.fires("committed-offset", op("commit", commits=[{"group": "g", "offsets": {"k": 5}, "outcome": "fail", "begin": 0, "end": 1}]), op("committed", committed=["g", {"k": 5}]))

    def test_latest_offset_goes_back(self):
        self.fires("latest-offset", op("offsets", latest={"k": 7}), op("offsets", latest={"k": 6}))

    def test_latest_offset_below_what_was_read(self):
        self.fires("latest-offset", op("send", send(1, 0)), op("poll", poll((0, 1)), process=1), op("offsets", latest={"k": 0}, process=1))

    def test_cycle(self):
        self.fires("G1c", op("txn", send(1, 0), poll((0, 1), key="l"), begin=0, end=9), op("txn", send(1, 0, key="l"), poll((0, 1)), process=1, begin=0, end=9))

    def test_cycle_through_the_order_of_a_process(self):
        self.fires("G1c", op("txn", send(1, 0), poll((0, 1), key="l"), begin=0, end=9), op("poll", poll((0, 1)), process=1, begin=1, end=2),
                   op("send", send(1, 0, key="l"), process=1, begin=3, end=4))

    def test_every_detector_has_its_test(self):
        covered = {"inconsistent-offsets", "duplicate", "ack-offset", "phantom", "lost-write", "unseen", "aborted-read", "precommitted-read", "torn-transaction", "int-poll",
                   "poll", "nonmonotonic-send", "offset-zero", "committed-offset", "latest-offset", "G1c"}
        self.assertEqual(set(analyses.ALL), covered)


if __name__ == "__main__":
    unittest.main()
