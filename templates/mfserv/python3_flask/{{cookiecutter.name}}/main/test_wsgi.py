import unittest

from main.wsgi import app


class TestHello(unittest.TestCase):
    def test_every_path_says_hello(self):
        client = app.test_client()
        for path in ["/", "/{{cookiecutter.name}}/main/deep/er"]:
            response = client.get(path)
            self.assertEqual(response.status_code, 200)
            self.assertIn("Hello World !", response.text)


if __name__ == "__main__":
    unittest.main()
