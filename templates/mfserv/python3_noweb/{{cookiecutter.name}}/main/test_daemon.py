import unittest

from main.daemon import work


class TestWork(unittest.TestCase):
    def test_a_round_says_hello(self):
        self.assertRegex(work(7), r"^Hello World from .*, round 7$")


if __name__ == "__main__":
    unittest.main()
