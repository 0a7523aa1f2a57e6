import unittest

from aiohttp.test_utils import AioHTTPTestCase

from main.application import make_app


class TestApplication(AioHTTPTestCase):
    async def get_application(self):
        return make_app()

    async def test_every_path_says_hello(self):
        for path in ["/", "/{{cookiecutter.name}}/main/deep/er"]:
            async with self.client.get(path) as response:
                self.assertEqual(response.status, 200)
                self.assertIn("Hello World", await response.text())


if __name__ == "__main__":
    unittest.main()
