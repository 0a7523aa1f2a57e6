from django.test import SimpleTestCase
from django.urls import reverse


class TestHello(SimpleTestCase):
    def test_the_page_says_hello_and_names_its_style_sheet(self):
        response = self.client.get(reverse("hello"))
        self.assertContains(response, "Hello World")
        self.assertContains(response, "/main/static/hello/style.css")
