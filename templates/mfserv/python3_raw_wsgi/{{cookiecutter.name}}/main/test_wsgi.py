import unittest
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from main.wsgi import app


class TestApp(unittest.TestCase):
    def test_it_says_hello_as_wsgi_wants_it(self):
        environ = {"QUERY_STRING": ""}
        setup_testing_defaults(environ)
        started = []
        answer = validator(app)(environ, lambda status, headers: started.append(status))
        body = b"".join(answer)
        answer.close()
        self.assertEqual(started, ["200 OK"])
        self.assertIn(b"Hello World", body)


if __name__ == "__main__":
    unittest.main()
