import unittest

from main.asgi import app


class TestApp(unittest.IsolatedAsyncioTestCase):
    async def test_it_says_hello(self):
        sent = []

        async def send(message):
            sent.append(message)

        await app({"type": "http", "path": "/a"}, None, send)
        self.assertEqual(sent[0]["status"], 200)
        self.assertIn(b"Hello World", sent[1]["body"])

    async def test_it_serves_http_alone(self):
        with self.assertRaises(NotImplementedError):
            await app({"type": "websocket"}, None, None)


if __name__ == "__main__":
    unittest.main()
