import unittest

from tornado.testing import AsyncHTTPTestCase

from main.server import make_app


class TestServer(AsyncHTTPTestCase):
    def get_app(self):
        return make_app()

    def test_every_path_says_hello(self):
        for path in ["/", "/{{cookiecutter.name}}/main/deep/er"]:
            response = self.fetch(path)
            self.assertEqual(response.code, 200)
            self.assertIn(b"Hello World", response.body)


if __name__ == "__main__":
    unittest.main()
