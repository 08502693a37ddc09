"""Shows that what is masked in transcripts is no more than what is to be."""
import re
import unittest

from harness import port_mask


class Masks(unittest.TestCase):
    def test_a_port_is_hidden(self):
        for text in ("localhost:20393 (id: 0)", "PLAINTEXT://127.0.0.1:20393,", '"Port": 20393', "/127.0.0.1:20393."):
            self.assertIn("PORT", re.sub(port_mask(20393), "PORT", text))

    def test_digits_of_something_else_are_not(self):
        for text in ("1f8b080000000000020393636060604a", "0.20393", "120393", "203931", "a20393"):
            self.assertEqual(re.sub(port_mask(20393), "PORT", text), text)


if __name__ == "__main__":
    unittest.main()
