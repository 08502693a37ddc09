"""Shows that verify's judge fires on each made-up wrong log, and forgives what no broker can tell."""
import unittest

from verify import Judge


def judged(values, acked, epochs=()):
    """`epochs` are producer id and epoch of each offset; none: nothing is known of them."""
    judge = Judge([acked])
    for offset, value in enumerate(values):
        judge.take(0, value, offset)
    return judge.verdict(lambda _, offset: epochs[offset] if epochs else (-1, -1))


BOTH = [(7, 0), (7, 0), (7, 1), (7, 1)]


class Verify(unittest.TestCase):
    def test_good(self):
        self.assertEqual(judged([0, 1, 2], {0: 0, 1: -1}), ([], 0))

    def test_lost(self):
        self.assertIn("is lost", judged([0, 1], {2: 2})[0][0])

    def test_moved(self):
        self.assertIn("was acked at 2", judged([0, 1], {1: 2})[0][0])

    def test_reordered(self):
        self.assertIn("value 1 after 2", judged([0, 2, 1], {})[0][0])

    def test_gap(self):
        judge = Judge([{}])
        judge.take(0, 0, 1)
        self.assertIn("offset 1 follows -1", judge.verdict(None)[0][0])

    def test_repeated_in_a_later_epoch(self):
        self.assertEqual(judged([0, 1, 1, 2], {0: 0, 1: 2, 2: 3}, BOTH), ([], 1))
        self.assertEqual(judged([0, 1, 1, 2], {0: 0}, BOTH), ([], 1))

    def test_repeated_in_one_epoch(self):
        self.assertIn("value 1 at 1 and at 2", judged([0, 1, 1, 2], {1: 2}, [(7, 0)] * 4)[0][0])

    def test_repeated_in_an_earlier_epoch(self):
        self.assertIn("value 1 at 1 and at 2", judged([0, 1, 1, 2], {1: 2}, BOTH[::-1])[0][0])

    def test_repeated_by_another_producer(self):
        self.assertIn("value 1 at 1 and at 2", judged([0, 1, 1, 2], {1: 2}, [(7, 0), (7, 0), (8, 1), (8, 1)])[0][0])

    def test_repeated_and_nothing_known(self):
        self.assertIn("value 1 at 1 and at 2", judged([0, 1, 1, 2], {1: 2})[0][0])

    def test_repeated_although_the_first_was_acknowledged(self):
        for offset in (1, -1):
            self.assertIn("value 1 at 1 and at 2", judged([0, 1, 1, 2], {1: offset}, BOTH)[0][0])


if __name__ == "__main__":
    unittest.main()
