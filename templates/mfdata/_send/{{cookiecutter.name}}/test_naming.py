import time
import unittest
from urllib.parse import quote

from naming import fill


class Step:
    def get_original_basename(self, xaf):
        return "100%d.txt"

    def get_original_uid(self, xaf):
        return "uid"

    def _get_counter_tag_value(self, xaf, not_found_value="0"):
        return int(not_found_value)


class TestFill(unittest.TestCase):
    def test_the_name_and_the_date_are_filled_in(self):
        for template, expected in [
            ("{ORIGINAL_BASENAME}", "100%d.txt"),
            ("%Y/{ORIGINAL_UID}-{STEP_COUNTER}", time.strftime("%Y") + "/uid-999"),
            ("http://host/a%20b/{OTHER}", "http://host/a%20b/{OTHER}"),
        ]:
            self.assertEqual(fill(template, Step(), None), expected)

    def test_what_is_filled_in_is_encoded_and_the_rest_is_not(self):
        self.assertEqual(fill("a/{ORIGINAL_BASENAME}", Step(), None, encode=quote), "a/100%25d.txt")

    def test_a_random_name_is_random(self):
        self.assertNotEqual(fill("{RANDOM_ID}", Step(), None), fill("{RANDOM_ID}", Step(), None))


if __name__ == "__main__":
    unittest.main()
