import unittest

from storage import settings


class TestSettings(unittest.TestCase):
    def test_the_settings_of_the_storage_are_known(self):
        known = settings()
        self.assertIn(known["satisfy"], ("any", "all"))
        self.assertTrue(known["access_allows"])


if __name__ == "__main__":
    unittest.main()
